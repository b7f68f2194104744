"""The real partition, with the results of its pure part cached across runs."""

from collections.abc import Hashable

import pyarrow as pa

from schemas.flush import Claim, SeenRows
from schemas.meter import MeterSet
from stream_processors.core.dedupe import KeyLookupResult
from stream_processors.core.flush_plan import FlushRows
from stream_processors.flushing.partition import Partition

_SIGNIFICANT_COLUMNS = ("offset", "arrival", "key_hash", "body_hash", "flags")
"""The columns that distinguish the events of one scenario from those of another; the others follow from them."""

_planned: dict[Hashable, FlushRows] = {}


class RememberingPartition(Partition):
    """Plans with the real core, once per input: thousands of runs plan the same few flushes."""

    def _decide(self, claim: Claim, events: pa.Table, known: KeyLookupResult, meters: MeterSet) -> FlushRows:
        key = (
            type(self).__name__,
            self._policy.window,
            claim,
            meters.version,
            _content(known.seen),
            _content(known.events),
            *(tuple(events[column].to_pylist()) for column in _SIGNIFICANT_COLUMNS),
        )
        if key not in _planned:
            _planned[key] = super()._decide(claim, events, known, meters)
        return _planned[key]


def _content(rows: SeenRows) -> Hashable:
    return frozenset(zip(rows.key_hashes, rows.body_hashes, rows.arrivals, strict=True))
