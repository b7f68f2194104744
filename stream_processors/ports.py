"""What the flush needs from outside: a log to read, a store to write, meters to count with.

Each port is small and asynchronous, and every call of one is a point where a crash, a rival or a lost reply may
come in between: the simulator interleaves workers exactly there.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import pyarrow as pa

from schemas.flush import ApplyResult, Claim, FlushProgress, SeenRows, Table
from schemas.frame import Frame
from schemas.hashing import KeyHashes
from schemas.meter import MeterSet


class FrameLog(Protocol):
    """The durable, partitioned, append-only sequence of frames, as its reader sees it. Offsets may have gaps."""

    async def first_offset(self, partition: int) -> int:
        """The lowest offset still held; where nothing is held, the next one to be given."""
        ...

    async def read(self, partition: int, start: int, *, max_bytes: int, last: int | None = None) -> Sequence[Frame]:
        """Frames from offset `start` on, up to and including `last`, in order.

        Without `last`: at least one frame if there is one, and no more than `max_bytes` beyond the first.
        With `last`: all of them, whatever their size, for a claimed range is redone whole.
        """
        ...

    async def acknowledge(self, partition: int, last: int) -> None:
        """Everything up to `last` is counted. May lag behind the truth, never lead it."""
        ...


class LogTail(Protocol):
    """The growing end of the log, as whoever decides when to flush watches it."""

    async def wait(self, partition: int, start: int, timeout: float) -> None:  # noqa: ASYNC109 (seconds, as a reader expects)
        """Return when there is a frame at or after `start`, at the latest after `timeout` seconds.

        Raises StoreFailed where the log cannot be asked: an outage must not look like a log that ends here.
        """
        ...

    def end_offset(self, partition: int) -> int:
        """The next offset to be given."""
        ...

    async def oldest_arrival(self, partition: int, start: int) -> int | None:
        """When the first frame at or after `start` arrived; None if there is none."""
        ...


class TailedLog(FrameLog, LogTail, Protocol):
    """The log with its growing end: all that those who count ask of it."""


class Claims(Protocol):
    """The table of flushes."""

    async def progress(self, partition: int) -> FlushProgress | None:
        """The highest claim of the partition; None if there is none."""
        ...

    async def claim(self, claim: Claim) -> None:
        """Store the claim, unless one with this number or a higher one exists. Who won is told by `read_back`."""
        ...

    async def read_back(self, partition: int, number: int) -> Sequence[FlushProgress]:
        """All claims numbered `number` or higher, one entry per different row stored."""
        ...

    async def finish(self, partition: int, number: int) -> None:
        """State that all rows of the flush are there."""
        ...


class Tables(Protocol):
    """The tables a flush writes."""

    async def apply(self, table: Table, partition: int, number: int, rows: pa.Table) -> ApplyResult:
        """Insert the rows as one block, at most once per (table, flush), however often it is called.

        `rows` is never empty. Raises StoreFailed where the outcome is not known; then call it again.
        """
        ...


class SeenKeys(Protocol):
    """What is known of a partition's keys. Only rows of flushes with a lower number are ever looked at."""

    async def count(self, partition: int, below: int) -> int:
        """About how many keys `all_hashes` would give: to size the filter. Nothing may depend on it being exact."""
        ...

    def all_hashes(self, partition: int, below: int) -> AsyncIterator[KeyHashes]:
        """Every key hash of the flushes numbered below `below`, in chunks: to fill the filter."""
        ...

    async def find(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        """Those of the keys that are in `seen`."""
        ...

    async def find_events(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        """Those of the keys that are in `events`, however old: for events under the backfill scope."""
        ...


class SeenMonths(Protocol):
    """The months (such as 202611) that seen keys are kept by, for whoever decides which of them may go."""

    async def seen_months(self) -> Sequence[int]:
        """Those there are, the oldest first; what was put aside is no month's any more."""
        ...

    async def last_arrival(self, partition: int) -> int | None:
        """When the newest key of the partition's months arrived; None if there is none."""
        ...

    async def preserve_replay_keys(self, month: int) -> None:
        """Have the keys of rejects tried again outlive their month, for audits ask for them however old they are."""
        ...

    async def drop_seen_month(self, month: int) -> None:
        """Forget its keys; twice changes nothing. Receipts go with them: all flushes of the month must be done."""
        ...


class EventHistory(Protocol):
    """What a new meter has missed."""

    async def activation(self, partition: int, version: int) -> int | None:
        """The lowest flush whose claim has this meter set version or a higher one; None while there is none."""
        ...

    def read_events(self, partition: int, first_number: int, last_number: int) -> AsyncIterator[pa.Table]:
        """The events (layout EVENTS) of the flushes from the first number to the last, in pieces of any size."""
        ...


class BackfillTables(Protocol):
    """The tables a backfill writes: `usage` and `rejects`."""

    async def receipts(self, prefix: str) -> frozenset[str]:
        """The receipts of backfills in `usage` that begin like this."""
        ...

    async def apply_backfill(self, table: Table, receipt: str, rows: pa.Table) -> ApplyResult:
        """Insert the rows as one block, at most once per (table, receipt), however often it is called.

        `rows` is never empty. Raises StoreFailed where the outcome is not known; then call it again.
        """
        ...


class MeterSets(Protocol):
    """The meters, by version."""

    async def newest_version(self) -> int: ...

    async def at_version(self, version: int) -> MeterSet:
        """Immutable: the same version always gives the same meters."""
        ...
