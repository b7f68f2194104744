"""A flush, planned: from its frames, what is known, and the meters, to the rows of every table."""

from collections.abc import Iterator

import msgspec
import pyarrow as pa

from schemas.flush import Claim, Table
from schemas.hashing import KeyHashes
from schemas.meter import MeterSet
from stream_processors.core.dedupe import Known


class FlushCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the events of a flush."""

    events: int
    accepted: int
    duplicates: int
    conflicts: int
    rejects: dict[str, int]
    """Rows in `rejects` by code, the conflicts among them."""


class FlushRows(msgspec.Struct, frozen=True, kw_only=True):
    """One block per table, exactly in the layouts of `schemas.tables`."""

    events: pa.Table
    usage: pa.Table
    rejects: pa.Table
    seen: pa.Table
    new_hashes: KeyHashes
    """The keys of `seen`, for the filter."""
    counts: FlushCounts

    def in_order(self) -> Iterator[tuple[Table, pa.Table]]:
        """The blocks in the order in which they must be written."""
        for table in Table:
            yield table, getattr(self, table.value)


def plan_flush(claim: Claim, events: pa.Table, known: Known, meters: MeterSet, window: int) -> FlushRows:
    """Decide on every event of the claimed frames. A pure function: a redo or a rival makes the very same rows."""
    raise NotImplementedError
