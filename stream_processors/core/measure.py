"""Events and meters into usage rows, and rejects for values that cannot be counted."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.arrays import Indices, Mask
from schemas.event import EventFlag
from schemas.meter import Aggregation, Meter
from schemas.timestamps import MINUTE, SECOND
from stream_processors.core.aggregate import (
    Grouping,
    aggregate,
    group_columns,
    group_events,
    value_column,
    with_tie_places,
)
from stream_processors.core.groups import group_rows, rank
from stream_processors.core.meter_filters import filter_column, passing
from stream_processors.core.property_columns import CHUNK, Columns, PropertyColumn, read_columns
from stream_processors.core.rejects import (
    RejectedRow,
    explain,
    reject_rows,
    stacked_rejects,
    timestamp_out_of_range,
)
from stream_processors.core.usage_rows import stacked

_MINUTES = range(2**32 * SECOND // MINUTE)
"""The range of `minute` in a usage row."""


_COLUMN_VALUES = 4_000_000
"""How many property values are in memory at a time; more columns are read when the meters that need them come up."""

_GROUPED_ROWS = 1_000_000
"""How many events the groupings that are kept for other meters may have together."""

_REJECTS_AT_A_TIME = 4 * CHUNK
"""How many rejects are explained at a time; each is several Python objects before it is a row."""

MeterKey = tuple[str, str]
"""Account and code."""


class MeasuredRows(msgspec.Struct, frozen=True):
    """The usage of some events (layout USAGE, without a receipt), and their rejects (layout REJECTS)."""

    usage: pa.Table
    rejects: pa.Table


def measure(events: pa.Table, meters: Sequence[Meter], *, month: int, origin: str = "") -> MeasuredRows:
    """The usage and rejects of the events, for all of the meters, in the order of the meters."""
    measurement = Measurement(events, meters, month=month, origin=origin)
    return MeasuredRows(
        usage=stacked([measurement.usage(key) for key in measurement.keys]),
        rejects=stacked_rejects([measurement.rejects(key) for key in measurement.keys]),
    )


class Measurement:
    """Measures some events by one meter at a time; its memory does not grow with the number of meters.

    `events` has the layout EVENTS, planned in a flush or read back from the store; more columns are allowed.
    An event with the flag REPLAY is counted for its `replay_meter` only.
    Every row carries `month`, and the rejects carry `origin`.
    The same events and meter always make the same rows in the same order.
    """

    def __init__(self, events: pa.Table, meters: Sequence[Meter], *, month: int, origin: str = "") -> None:
        self._events = events
        self._month = month
        self._origin = origin
        self._rows = dict(_split(events)) if events.num_rows and meters else {}
        self._meters: dict[MeterKey, Meter] = {
            (meter.account, meter.code): meter
            for meter in sorted(meters, key=lambda meter: (meter.account, meter.code))
            if (meter.account, meter.event_name) in self._rows
        }
        self._meters_of: dict[tuple[str, str], list[Meter]] = {}
        for meter in self._meters.values():
            self._meters_of.setdefault((meter.account, meter.event_name), []).append(meter)
        self._batches: dict[str, MeterBatch] = {}
        """The batches of one account, by event name."""
        self._account = ""
        self._newest_masks: tuple[MeterKey, Masks] | None = None
        if self._meters:
            self._customers = rank(_column(events, "customer_id"))
            self._minutes = np.floor_divide(_column(events, "timestamp").cast(pa.int64()).to_numpy(), MINUTE)

    @property
    def keys(self) -> Sequence[MeterKey]:
        """The meters that may count some of the events, in order."""
        return list(self._meters)

    def usage(self, key: MeterKey) -> pa.Table:
        """The usage rows of the meter."""
        meter = self._meters[key]
        return _aggregate(self._batch_of(meter), meter, self._masks(key).counted, self._month)

    def has_rejects(self, key: MeterKey) -> bool:
        """Whether the meter rejects any event."""
        masks = self._masks(key)
        return bool(masks.out_of_range.any() or masks.without_value.any())

    def rejects(self, key: MeterKey) -> pa.Table:
        """The rejects of the meter, in order of arrival."""
        meter, batch = self._meters[key], self._batch_of(self._meters[key])
        masks = self._masks(key)
        places = np.flatnonzero(masks.out_of_range | masks.without_value)
        tables = []
        for start in range(0, len(places), _REJECTS_AT_A_TIME):
            chosen = places[start : start + _REJECTS_AT_A_TIME]
            late, valueless = chosen[masks.out_of_range[chosen]], chosen[masks.without_value[chosen]]
            refused = [*_out_of_range(batch, meter, late), *_without_value(batch, meter, valueless)]
            tables.append(reject_rows(batch.events, refused, month=self._month, origin=self._origin))
        return stacked_rejects(tables)

    def _masks(self, key: MeterKey) -> "Masks":
        if self._newest_masks is None or self._newest_masks[0] != key:
            self._newest_masks = key, _masks(self._batch_of(self._meters[key]), self._meters[key])
        return self._newest_masks[1]

    def _batch_of(self, meter: Meter) -> "MeterBatch":
        if meter.account != self._account:
            self._batches.clear()
            self._account = meter.account
        if meter.event_name not in self._batches:
            self._batches[meter.event_name] = self._new_batch(meter)
        return self._batches[meter.event_name]

    def _new_batch(self, meter: Meter) -> "MeterBatch":
        rows = self._rows[meter.account, meter.event_name]
        whole = len(rows) == self._events.num_rows
        return MeterBatch(
            self._events if whole else self._events.take(pa.array(rows)),
            self._customers[rows],
            self._minutes[rows],
            self._meters_of[meter.account, meter.event_name],
        )


class MeterBatch:
    """The events of one account and one event name, in order of arrival, and what its meters share."""

    def __init__(
        self,
        events: pa.Table,
        customers: npt.NDArray[np.int64],
        minutes: npt.NDArray[np.int64],
        meters: Sequence[Meter],
    ) -> None:
        self.events = events
        self.customers = customers
        self.minutes = minutes
        self.replay_meters = _replay_meters(events)
        self._meters = meters
        self._columns: Columns = {}
        self._groupings: dict[tuple[Any, ...], Grouping] = {}
        """The newest groupings, by group columns and by the mask of the events in them."""

    def __len__(self) -> int:
        return int(self.events.num_rows)

    def columns(self, meter: Meter) -> Columns:
        """The columns that the meter needs, among others."""
        if not _needed_columns(meter) <= self._columns.keys():
            self._columns = {}
            self._columns = read_columns(_column(self.events, "properties"), self._next_columns(meter))
        return self._columns

    def grouping(self, columns: Sequence[PropertyColumn], of: Columns, mask: Mask) -> Grouping:
        """The grouping, made once for meters that count the same events by the same groups."""
        key = (tuple(columns), mask.tobytes())
        if key not in self._groupings:
            while self._groupings and (len(self._groupings) + 1) * len(self) > _GROUPED_ROWS:
                del self._groupings[next(iter(self._groupings))]
            rows = pa.array(np.flatnonzero(mask))
            groups = [of[column].take(rows) for column in columns]
            self._groupings[key] = group_events(
                self.customers[mask], self.minutes[mask], groups, self.events["customer_id"].take(rows)
            )
        return self._groupings[key]

    def _next_columns(self, meter: Meter) -> list[PropertyColumn]:
        """The columns of this meter and of the ones after it, as many as may be in memory; each once."""
        columns: dict[PropertyColumn, None] = {}
        for following in self._meters[self._meters.index(meter) :]:
            more = columns | dict.fromkeys(_needed_columns(following))
            if columns and len(more) * len(self) > _COLUMN_VALUES:
                break
            columns = more
        return list(columns)


class Masks(NamedTuple):
    """What becomes of the events of a batch for one meter; an event that its filters exclude is in none."""

    counted: Mask
    out_of_range: Mask
    without_value: Mask


def _split(events: pa.Table) -> Iterator[tuple[tuple[str, str], Indices]]:
    """The rows of each account and event name, in order of arrival."""
    groups = group_rows(rank(_column(events, "account")), rank(_column(events, "event_name")))
    in_order = np.argsort(groups.codes, kind="stable")
    ends = np.cumsum(np.bincount(groups.codes))
    for example, rows in zip(groups.examples.tolist(), np.split(in_order, ends[:-1]), strict=True):
        yield (events["account"][example].as_py(), events["event_name"][example].as_py()), rows


def _needed_columns(meter: Meter) -> set[PropertyColumn]:
    value = value_column(meter)
    return {
        *([value] if value else []),
        *group_columns(meter),
        *(filter_column(condition) for condition in meter.filters),
    }


def _masks(batch: MeterBatch, meter: Meter) -> Masks:
    columns = batch.columns(meter)
    chosen = _for_meter(batch, meter) & passing(meter.filters, columns, len(batch))
    in_range = (batch.minutes >= _MINUTES.start) & (batch.minutes < _MINUTES.stop)
    column = value_column(meter)
    valued = np.ones_like(chosen) if column is None else _is_valid(columns[column])
    return Masks(
        counted=chosen & in_range & valued,
        out_of_range=chosen & ~in_range,
        without_value=chosen & in_range & ~valued,
    )


def _aggregate(batch: MeterBatch, meter: Meter, mask: Mask, month: int) -> pa.Table:
    columns, column = batch.columns(meter), value_column(meter)
    value = None if column is None else columns[column]
    grouping = batch.grouping(group_columns(meter), columns, mask)
    is_latest = meter.aggregation is Aggregation.LATEST
    events = with_tie_places(batch.events) if is_latest and batch.replay_meters is not None else batch.events
    if mask.all():
        return aggregate(meter, grouping, value, events, month=month)
    rows = pa.array(np.flatnonzero(mask))
    events = events.take(rows) if is_latest else events
    return aggregate(meter, grouping, None if value is None else value.take(rows), events, month=month)


def _for_meter(batch: MeterBatch, meter: Meter) -> Mask:
    """True for all events but the replays of other meters' rejects."""
    if batch.replay_meters is None:
        return np.ones(len(batch), dtype=np.bool_)
    return _mask(pc.is_in(batch.replay_meters, value_set=pa.array(["", meter.code])))


def _replay_meters(events: pa.Table) -> pa.Array | None:
    """The column if any event is a replay; stored events never are."""
    if "replay_meter" not in events.column_names:
        return None
    flags = _column(events, "flags").to_numpy()
    return _column(events, "replay_meter") if (flags & EventFlag.REPLAY).any() else None


def _out_of_range(batch: MeterBatch, meter: Meter, places: Indices) -> Iterator[RejectedRow]:
    for place in places.tolist():
        yield timestamp_out_of_range(place, meter, batch.events["timestamp"][place].cast(pa.int64()).as_py())


def _without_value(batch: MeterBatch, meter: Meter, places: Indices) -> list[RejectedRow]:
    if not len(places):
        return []
    return explain(places.tolist(), _column(batch.events, "properties").take(pa.array(places)), meter)


def _is_valid(column: pa.Array) -> Mask:
    return _mask(pc.is_valid(column))


def _mask(column: pa.Array) -> Mask:
    mask: Mask = column.to_numpy(zero_copy_only=False)
    return mask


def _column(events: pa.Table, name: str) -> pa.Array:
    column = events[name]
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
