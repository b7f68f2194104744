"""The real partition, with the results of its pure part cached across runs."""

from collections.abc import Hashable

import pyarrow as pa

from schemas.flush import Claim, Extent, SeenRows, Table
from schemas.meter import MeterSet
from stream_processors.core.dedupe import KeyLookupResult
from stream_processors.core.flush_plan import FlushPlan
from stream_processors.flushing.partition import Partition

_SIGNIFICANT_COLUMNS = ("offset", "arrival", "key_hash", "body_hash", "flags")
"""The columns that distinguish the events of one scenario from those of another; the others follow from them."""

_planned: dict[Hashable, FlushPlan] = {}


class RememberedPlan(FlushPlan):
    """The real plan, with the pieces that it made."""

    _pieces: dict[tuple[Table, Extent], pa.Table | None]

    @classmethod
    def of(cls, plan: FlushPlan) -> "RememberedPlan":
        remembered = cls.__new__(cls)
        remembered.__dict__ |= plan.__dict__
        remembered._pieces = {}
        return remembered

    def next_piece(self, table: Table, extent: Extent) -> pa.Table | None:
        if (table, extent) not in self._pieces:
            self._pieces[table, extent] = super().next_piece(table, extent)
        return self._pieces[table, extent]


class RememberingPartition(Partition):
    """Plans with the real core, once per input: thousands of runs plan the same few flushes."""

    def _decide(self, claim: Claim, events: pa.Table, known: KeyLookupResult, meters: MeterSet) -> FlushPlan:
        key = (
            type(self).__name__,
            self._policy,
            claim,
            meters.version,
            _content(known.seen),
            _content(known.events),
            *(tuple(events[column].to_pylist()) for column in _SIGNIFICANT_COLUMNS),
        )
        if key not in _planned:
            _planned[key] = RememberedPlan.of(super()._decide(claim, events, known, meters))
        return _planned[key]


def _content(rows: SeenRows) -> Hashable:
    return frozenset(zip(rows.key_hashes, rows.body_hashes, rows.arrivals, strict=True))
