"""One meter over the events it counts: values into aggregates, one usage row per customer, minute and group."""

from itertools import pairwise

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.hashing import value_digest
from schemas.meter import Aggregation, Meter
from schemas.paths import Path, parse_path
from schemas.tables import HASH, LATEST
from stream_processors.core.columns import Reading
from stream_processors.core.groups import Groups, count, distinct, group_rows, latest, rank, reduce
from stream_processors.core.usage_rows import Aggregates, usage_rows
from stream_processors.core.values import identities, numbers, texts

Rows = npt.NDArray[np.intp]

NO_GROUP = "[]"


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """The events that one meter counts, column by column."""

    customers: npt.NDArray[np.int64]
    """Numbers that sort as the customers do."""
    minutes: npt.NDArray[np.int64]
    groups: list[pa.Array]
    """One column of texts per group key of the meter."""
    value: pa.Array | None
    moments: pa.Table
    """Layout EVENTS, for who they belong to and when they came."""


def value_reading(meter: Meter) -> Reading | None:
    """The column that holds what the meter aggregates; None where it only counts."""
    if not meter.aggregation.needs_value or meter.value_property is None:
        return None
    convert = numbers if meter.aggregation.needs_number else identities
    return Reading(parse_path(meter.value_property, "value_property"), convert)


def group_readings(meter: Meter) -> list[Reading]:
    """The columns that hold the group values, in the order of the meter's group keys."""
    return [Reading(group_path(text), texts) for text in meter.group_by.values()]


def group_path(text: str) -> Path:
    return parse_path(text, "group_by")


def aggregate(meter: Meter, counted: Counted, *, month: int) -> pa.Table:
    """The usage rows, sorted by customer, minute and group."""
    group_texts, group_ranks = _grp(counted.groups, len(counted.customers))
    groups = group_rows(counted.customers, counted.minutes, *group_ranks)
    examples = pa.array(groups.examples)
    keys = {
        "account": pa.repeat(meter.account, len(groups)),
        "meter": pa.repeat(meter.code, len(groups)),
        "customer_id": counted.moments["customer_id"].take(examples),
        "minute": pa.array(counted.minutes[groups.examples].astype(np.uint32)),
        "grp": group_texts.take(examples),
    }
    filled = {"count": count(groups), **_aggregates(meter.aggregation, groups, counted)}
    return usage_rows({**keys, **filled}, len(groups), month=month)


def _grp(columns: list[pa.Array], size: int) -> tuple[pa.Array, list[npt.NDArray[np.int64]]]:
    """The `grp` text of each event, and its rank (none where all events are in one group)."""
    if not columns:
        return pa.repeat(NO_GROUP, size), []
    combined = group_rows(*(rank(column) for column in columns))
    examples = pa.array(combined.examples)
    values = zip(*(column.take(examples).to_pylist() for column in columns), strict=True)
    written = pa.array([msgspec.json.encode(list(value)).decode() for value in values], pa.string())
    return written.take(pa.array(combined.codes)), [rank(written)[combined.codes]]


def _aggregates(aggregation: Aggregation, groups: Groups, counted: Counted) -> Aggregates:
    match aggregation:
        case Aggregation.SUM | Aggregation.AVG:
            return {"sum": reduce(groups, counted.value, "sum")}
        case Aggregation.MIN:
            return {"min": reduce(groups, counted.value, "min")}
        case Aggregation.MAX:
            return {"max": reduce(groups, counted.value, "max")}
        case Aggregation.LATEST:
            return {"latest": latest(groups, _candidates(counted))}
        case Aggregation.UNIQUE:
            return {"uniques": _uniques(groups, counted.value)}
        case Aggregation.COUNT:
            return {}


def _candidates(counted: Counted) -> pa.StructArray:
    """Each event as the newest one would be kept."""
    columns = [counted.moments[field.name].combine_chunks().cast(field.type) for field in list(LATEST)[:-1]]
    return pa.StructArray.from_arrays([*columns, counted.value], fields=list(LATEST))


def _uniques(groups: Groups, identity: pa.Array) -> pa.ListArray:
    encoded = identity.dictionary_encode()
    return distinct(groups, encoded.indices.to_numpy().astype(np.int64), digests_of(encoded.dictionary))


def digests_of(identity: pa.Array) -> pa.Array:
    """The digest of each text: hashed where it lies, without making it a Python string."""
    column = identity.cast(pa.large_binary())
    _, offsets, texts_buffer = column.buffers()
    ends = np.frombuffer(offsets, dtype=np.int64, count=column.offset + len(column) + 1)[column.offset :].tolist()
    view = memoryview(texts_buffer) if texts_buffer is not None else memoryview(b"")
    joined = b"".join([value_digest(view[start:end]) for start, end in pairwise(ends)])
    return pa.Array.from_buffers(HASH, len(column), [None, pa.py_buffer(joined)])
