"""Events and meters into usage rows, and rejects for values that cannot be counted."""

from collections.abc import Iterator, Sequence
from typing import Any

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
from stream_processors.core.property_columns import Columns, PropertyColumn, read_columns
from stream_processors.core.rejects import RejectedRow, explain, reject_rows, timestamp_out_of_range
from stream_processors.core.usage_rows import stacked

_MINUTES = range(2**32 * SECOND // MINUTE)
"""The range of `minute` in a usage row."""


class MeasuredRows(msgspec.Struct, frozen=True):
    """The usage of some events (layout USAGE, without a receipt), and their rejects (layout REJECTS)."""

    usage: pa.Table
    rejects: pa.Table


class MeterBatch(msgspec.Struct, frozen=True, kw_only=True):
    """The events of one account and one event name, in order of arrival."""

    events: pa.Table
    rows: Indices
    """Their rows in the table that is measured."""
    customers: npt.NDArray[np.int64]
    minutes: npt.NDArray[np.int64]
    columns: Columns
    replay_meters: pa.Array | None
    groupings: dict[tuple[Any, ...], Grouping]
    """The groupings made so far, by group columns and by the mask of the events in them."""


def measure(events: pa.Table, meters: Sequence[Meter], *, month: int, origin: str = "") -> MeasuredRows:
    """The usage and rejects of the events, for all of the meters.

    `events` has the layout EVENTS, planned in a flush or read back from the store; more columns are allowed.
    An event with the flag REPLAY is counted for its `replay_meter` only.
    Every row of the result carries `month`, and the rejects carry `origin`.
    Both tables are sorted, so that the same events and meters always make the same rows.
    """
    usage: dict[tuple[str, str], pa.Table] = {}
    rejects: list[RejectedRow] = []
    for batch, batch_meters in _batches(events, meters):
        for meter in batch_meters:
            usage[meter.account, meter.code], refused = _count(batch, meter, month)
            rejects += refused
    return MeasuredRows(
        usage=stacked([usage[key] for key in sorted(usage)]),
        rejects=reject_rows(events, rejects, month=month, origin=origin),
    )


def _batches(events: pa.Table, meters: Sequence[Meter]) -> Iterator[tuple[MeterBatch, list[Meter]]]:
    """The events that some meter may count, each batch with its meters."""
    meters_of: dict[tuple[str, str], list[Meter]] = {}
    for meter in meters:
        meters_of.setdefault((meter.account, meter.event_name), []).append(meter)
    if not events.num_rows or not meters_of:
        return
    customers = rank(_column(events, "customer_id"))
    minutes = np.floor_divide(_column(events, "timestamp").cast(pa.int64()).to_numpy(), MINUTE)
    for pair, rows in _split(events):
        if pair in meters_of:
            whole = len(rows) == events.num_rows
            chosen = events if whole else events.take(pa.array(rows))
            yield (
                MeterBatch(
                    events=chosen,
                    rows=rows,
                    customers=customers[rows],
                    minutes=minutes[rows],
                    columns=read_columns(_column(chosen, "properties"), _needed_columns(meters_of[pair])),
                    replay_meters=_replay_meters(chosen),
                    groupings={},
                ),
                meters_of[pair],
            )


def _split(events: pa.Table) -> Iterator[tuple[tuple[str, str], Indices]]:
    """The rows of each account and event name, in order of arrival."""
    groups = group_rows(rank(_column(events, "account")), rank(_column(events, "event_name")))
    in_order = np.argsort(groups.codes, kind="stable")
    ends = np.cumsum(np.bincount(groups.codes))
    for example, rows in zip(groups.examples.tolist(), np.split(in_order, ends[:-1]), strict=True):
        yield (events["account"][example].as_py(), events["event_name"][example].as_py()), rows


def _needed_columns(meters: Sequence[Meter]) -> list[PropertyColumn]:
    """The columns that the meters need, each once."""
    needed: dict[PropertyColumn, None] = {}
    for meter in meters:
        value = value_column(meter)
        conditions = [filter_column(condition) for condition in meter.filters]
        needed |= dict.fromkeys([*([value] if value else []), *group_columns(meter), *conditions])
    return list(needed)


def _count(batch: MeterBatch, meter: Meter, month: int) -> tuple[pa.Table, list[RejectedRow]]:
    """The usage of one meter over one batch, and its rejects."""
    chosen = _for_meter(batch, meter) & passing(meter.filters, batch.columns, len(batch.rows))
    in_range = (batch.minutes >= _MINUTES.start) & (batch.minutes < _MINUTES.stop)
    column = value_column(meter)
    valued = np.ones_like(chosen) if column is None else _is_valid(batch.columns[column])
    rejects = [
        *_out_of_range(batch, meter, chosen & ~in_range),
        *_without_value(batch, meter, chosen & in_range & ~valued),
    ]
    return _aggregate(batch, meter, chosen & in_range & valued, month), rejects


def _aggregate(batch: MeterBatch, meter: Meter, mask: Mask, month: int) -> pa.Table:
    column = value_column(meter)
    value = None if column is None else batch.columns[column]
    grouping = _grouping(batch, group_columns(meter), mask)
    is_latest = meter.aggregation is Aggregation.LATEST
    events = with_tie_places(batch.events) if is_latest and batch.replay_meters is not None else batch.events
    if mask.all():
        return aggregate(meter, grouping, value, events, month=month)
    rows = pa.array(np.flatnonzero(mask))
    events = events.take(rows) if is_latest else events
    return aggregate(meter, grouping, None if value is None else value.take(rows), events, month=month)


def _grouping(batch: MeterBatch, columns: Sequence[PropertyColumn], mask: Mask) -> Grouping:
    """The grouping, made once for all meters that count the same events by the same groups."""
    key = (tuple(columns), mask.tobytes())
    if key not in batch.groupings:
        rows = pa.array(np.flatnonzero(mask))
        groups = [batch.columns[column].take(rows) for column in columns]
        batch.groupings[key] = group_events(
            batch.customers[mask], batch.minutes[mask], groups, batch.events["customer_id"].take(rows)
        )
    return batch.groupings[key]


def _for_meter(batch: MeterBatch, meter: Meter) -> Mask:
    """True for all events but the replays of other meters' rejects."""
    if batch.replay_meters is None:
        return np.ones(len(batch.rows), dtype=np.bool_)
    return _mask(pc.is_in(batch.replay_meters, value_set=pa.array(["", meter.code])))


def _replay_meters(events: pa.Table) -> pa.Array | None:
    """The column if any event is a replay; stored events never are."""
    if "replay_meter" not in events.column_names:
        return None
    flags = _column(events, "flags").to_numpy()
    return _column(events, "replay_meter") if (flags & EventFlag.REPLAY).any() else None


def _out_of_range(batch: MeterBatch, meter: Meter, mask: Mask) -> Iterator[RejectedRow]:
    for place in np.flatnonzero(mask).tolist():
        yield timestamp_out_of_range(
            int(batch.rows[place]), meter, batch.events["timestamp"][place].cast(pa.int64()).as_py()
        )


def _without_value(batch: MeterBatch, meter: Meter, mask: Mask) -> list[RejectedRow]:
    places = np.flatnonzero(mask)
    if not len(places):
        return []
    return explain(batch.rows[places].tolist(), _column(batch.events, "properties").take(pa.array(places)), meter)


def _is_valid(column: pa.Array) -> Mask:
    return _mask(pc.is_valid(column))


def _mask(column: pa.Array) -> Mask:
    mask: Mask = column.to_numpy(zero_copy_only=False)
    return mask


def _column(events: pa.Table, name: str) -> pa.Array:
    column = events[name]
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
