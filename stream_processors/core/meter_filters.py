"""The filters of a meter, applied to many events at a time."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.arrays import Mask
from schemas.meter import FilterOp, MeterFilter
from schemas.property_path import parse_path
from stream_processors.core.property_columns import Columns, PropertyColumn
from stream_processors.core.property_decoder import Value
from stream_processors.core.values import Comparison, exact_number, identities, identity_of

_COMPARING = frozenset({FilterOp.GT, FilterOp.GTE, FilterOp.LT, FilterOp.LTE})


def filter_column(condition: MeterFilter) -> PropertyColumn:
    """The column that a condition tests."""
    path = parse_path(condition.property, "filters")
    if condition.op not in _COMPARING:
        return PropertyColumn(path, identities)
    bound = as_value(condition.value)
    return PropertyColumn(path, Comparison(condition.op, None if type(bound) is str else exact_number(bound)))


def passing(conditions: Iterable[MeterFilter], columns: Columns, events: int) -> Mask:
    """True for the events that pass all conditions."""
    passed = np.ones(events, dtype=np.bool_)
    for condition in conditions:
        passed &= _passes(condition, columns[filter_column(condition)]).to_numpy(zero_copy_only=False)
    return passed


def _passes(condition: MeterFilter, column: pa.Array) -> pa.Array:
    match condition.op:
        case FilterOp.EXISTS:
            return pc.is_null(column) if condition.value is False else pc.is_valid(column)
        case FilterOp.EQ:
            return _is_one_of(column, [condition.value])
        case FilterOp.IN:
            return _is_one_of(column, condition.value)
        case FilterOp.NE:
            return pc.invert(_is_one_of(column, [condition.value]))
        case _:
            return column


def _is_one_of(column: pa.Array, values: Iterable[Any]) -> pa.Array:
    # A null is a missing property, which equals nothing.
    known = [identity for value in values if (identity := identity_of(as_value(value))) is not None]
    return pc.is_in(column, value_set=pa.array(known, pa.string()))


def as_value(value: Any) -> Value:
    """A meter's JSON value with exact numbers: a float, which the JSON reader made, becomes its shortest decimal."""
    match value:
        case float():
            return Decimal(repr(value))
        case dict():
            return {key: as_value(item) for key, item in value.items()}
        case list() | tuple():
            return [as_value(item) for item in value]
        case _:
            return value
