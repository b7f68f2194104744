"""One meter over its events: one usage row per customer, minute and group; ties of `latest`."""

from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa

from schemas.event import EventFlag
from schemas.hashing import value_digest
from schemas.meter import Aggregation, Meter
from schemas.property_path import PathSteps, parse_path
from schemas.tables import HASH, LATEST, reject_place
from schemas.timestamps import MINUTE, SECOND
from stream_processors.core.groups import Codes, Groups, count, distinct, group_rows, latest, rank, reduce
from stream_processors.core.property_columns import CHUNK, PropertyColumn
from stream_processors.core.usage_rows import Aggregates, usage_rows
from stream_processors.core.values import identities, numbers, texts

NO_GROUP = "[]"
_MINUTE_SECONDS = MINUTE // SECOND


class Grouping(msgspec.Struct, frozen=True, kw_only=True):
    """The events of each usage row, and the keys of that row: shared by all meters that count the same events by the
    same group values."""

    groups: Groups
    customer_id: pa.Array
    minute: pa.Array
    grp: pa.Array


def value_column(meter: Meter) -> PropertyColumn | None:
    """The column of the values that the meter aggregates; None for a meter that only counts."""
    if not meter.aggregation.needs_value or meter.value_property is None:
        return None
    convert = numbers if meter.aggregation.needs_number else identities
    return PropertyColumn(parse_path(meter.value_property, "value_property"), convert)


def group_columns(meter: Meter) -> list[PropertyColumn]:
    """The columns of the group values, in the order of the meter's group keys."""
    return [PropertyColumn(group_path(text), texts) for text in meter.group_by.values()]


def group_path(text: str) -> PathSteps:
    return parse_path(text, "group_by")


def group_events(
    customers: Codes, minutes: Codes, columns: Sequence[pa.Array], customer_ids: pa.ChunkedArray
) -> Grouping:
    """The events grouped by customer, minute and group, in this order. `customers` are the ranks of `customer_ids`."""
    texts_of_groups, ranks = _grp(columns, len(customers))
    groups = group_rows(customers, minutes, *ranks)
    examples = pa.array(groups.examples)
    return Grouping(
        groups=groups,
        customer_id=customer_ids.take(examples),
        minute=pa.array((minutes[groups.examples] * _MINUTE_SECONDS).astype(np.uint32)),
        grp=texts_of_groups.take(examples),
    )


def aggregate(meter: Meter, grouping: Grouping, value: pa.Array | None, events: pa.Table, *, month: int) -> pa.Table:
    """The usage rows of one meter. `value` and `events` (layout EVENTS) are parallel to the grouped events."""
    size = len(grouping.groups)
    columns = {
        "account": pa.repeat(meter.account, size),
        "meter": pa.repeat(meter.code, size),
        "customer_id": grouping.customer_id,
        "minute": grouping.minute,
        "grp": grouping.grp,
        "count": count(grouping.groups),
        **_aggregates(meter.aggregation, grouping.groups, value, events),
    }
    return usage_rows(columns, size, month=month)


def _grp(columns: Sequence[pa.Array], size: int) -> tuple[pa.Array, list[Codes]]:
    """The `grp` text of each event, and the ranks of the texts; no ranks if all events are in one group."""
    if not columns:
        return pa.repeat(NO_GROUP, size), []
    combined = group_rows(*(rank(column) for column in columns))
    examples = pa.array(combined.examples)
    values = zip(*(column.take(examples).to_pylist() for column in columns), strict=True)
    written = pa.array([msgspec.json.encode(list(value)).decode() for value in values], pa.string())
    return written.take(pa.array(combined.codes)), [rank(written)[combined.codes]]


def _aggregates(aggregation: Aggregation, groups: Groups, value: pa.Array | None, events: pa.Table) -> Aggregates:
    match aggregation:
        case Aggregation.SUM | Aggregation.AVG:
            return {"sum": reduce(groups, value, "sum")}
        case Aggregation.MIN:
            return {"min": reduce(groups, value, "min")}
        case Aggregation.MAX:
            return {"max": reduce(groups, value, "max")}
        case Aggregation.LATEST:
            return {"latest": latest(groups, _candidates(value, events))}
        case Aggregation.UNIQUE:
            return {"uniques": _uniques(groups, value)}
        case Aggregation.COUNT:
            return {}


def _candidates(value: pa.Array, events: pa.Table) -> pa.StructArray:
    """Each event as a value of the column `latest`."""
    columns = [events[field.name].combine_chunks().cast(field.type) for field in list(LATEST)[:-1]]
    return pa.StructArray.from_arrays([*columns, value], fields=list(LATEST))


def _uniques(groups: Groups, identity: pa.Array) -> pa.ListArray:
    encoded = identity.dictionary_encode()
    return distinct(groups, encoded.indices.to_numpy().astype(np.int64), digests_of(encoded.dictionary))


def digests_of(identity: pa.Array) -> pa.Array:
    """The digest of each text, a slice at a time, so that other threads run in between."""
    column = identity.cast(pa.binary())
    slices = (column.slice(start, CHUNK).to_pylist() for start in range(0, len(column), CHUNK))
    joined = b"".join(b"".join(map(value_digest, texts_of_slice)) for texts_of_slice in slices)
    return pa.Array.from_buffers(HASH, len(column), [None, pa.py_buffer(joined)])


_PLACE = ("p", "offset", "place")


def with_tie_places(events: pa.Table) -> pa.Table:
    """The events with the places that break ties of `latest`: a replay has the place of its reject.

    A recount knows a replay only by its reject and its arrival, and must break ties alike.
    """
    replays = np.flatnonzero(events["flags"].to_numpy() & EventFlag.REPLAY)
    columns = {name: events[name].to_numpy().copy() for name in _PLACE}
    for row in replays.tolist():
        place = reject_place(events["replay_of"][row].as_py())
        if place is not None:
            columns["p"][row], _, columns["offset"][row], columns["place"][row] = place
    for name, column in columns.items():
        at = events.schema.get_field_index(name)
        events = events.set_column(at, events.schema.field(at), pa.array(column, events.schema.field(at).type))
    return events
