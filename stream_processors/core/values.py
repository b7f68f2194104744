"""Conversions of property values: to a quantity, a group value, an identity, or the result of a comparison.

Each conversion takes a chunk of values. It checks which types occur and lets Arrow convert the common ones; the
`…_of` function after it is the definition, value by value.
"""

from collections.abc import Sequence
from contextlib import suppress
from decimal import MAX_EMAX as LARGEST_EXPONENT
from decimal import MIN_EMIN as SMALLEST_EXPONENT
from decimal import Context, Decimal
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from schemas.event import MAX_PROPERTIES_BYTES
from schemas.meter import FilterOp
from schemas.quantity import QUANTITY_LIMIT, from_text, to_quantity, to_text
from schemas.tables import QUANTITY
from stream_processors.core.property_decoder import Value

_EXACT = Context(prec=MAX_PROPERTIES_BYTES, Emax=LARGEST_EXPONENT, Emin=SMALLEST_EXPONENT)
_PLAIN_EXPONENTS = range(-100, 101)
_SORTED_JSON = msgspec.json.Encoder(order="deterministic")
_WHOLE_LIMIT: Final = int(QUANTITY_LIMIT)


def numbers(values: Sequence[Value]) -> pa.Array:
    """Quantities; null if a value is missing, not a number, or too large."""
    types = set(map(type, values)) - {type(None)}
    # Arrow raises for a value that is too large or has more than twelve places; then convert value by value.
    with suppress(pa.ArrowInvalid, OverflowError):
        if types <= {int}:
            return _within_limit(pa.array(values, pa.int64()), _WHOLE_LIMIT).cast(QUANTITY)
        if types <= {int, Decimal}:
            return _within_limit(pa.array(values, QUANTITY), QUANTITY_LIMIT)
    return pa.array([number_of(value) for value in values], QUANTITY)


def number_of(value: Value) -> Decimal | None:
    """A number, or a string that holds one, as a quantity; None for other values. Booleans are not numbers."""
    number = exact_number(value)
    return None if number is None else to_quantity(number)


def exact_number(value: Value) -> Decimal | None:
    """A number, or a string that holds one, with all its digits; None for other values."""
    if type(value) is Decimal:
        return value
    if type(value) is int:
        return Decimal(value)
    return from_text(value) if type(value) is str else None


def texts(values: Sequence[Value]) -> pa.Array:
    """Group values; null if a value is missing."""
    if set(map(type, values)) <= {str, type(None)}:
        return pa.array(values, pa.string())
    return pa.array([text_of(value) for value in values], pa.string())


def text_of(value: Value) -> str | None:
    """A string unchanged, any other value as JSON: 1 and 1.0 are one group, and so are two spellings of one object."""
    return value if value is None or type(value) is str else canonical_json(value)


def identities(values: Sequence[Value]) -> pa.Array:
    """Texts that are equal for equal values only; null if a value is missing."""
    if set(map(type, values)) <= {str, type(None)}:
        return pc.binary_join_element_wise("s", pa.array(values, pa.string()), "")
    return pa.array([identity_of(value) for value in values], pa.string())


def identity_of(value: Value) -> str | None:
    """A text that is equal for equal values only. The string "5" is not the number 5, and true is not 1."""
    if value is None:
        return None
    return "s" + value if type(value) is str else "j" + canonical_json(value)


def canonical_json(value: Value) -> str:
    """One text for all spellings of a value: numbers without trailing zeros, keys sorted, no spaces."""
    if type(value) is Decimal or type(value) is int:
        return _canonical_number(value)
    return _SORTED_JSON.encode(_with_canonical_numbers(value)).decode()


def _with_canonical_numbers(value: Value) -> Value:
    match value:
        case dict():
            return {key: _with_canonical_numbers(item) for key, item in value.items()}
        case list():
            return [_with_canonical_numbers(item) for item in value]
        case bool():
            return value
        case int() | Decimal():
            return msgspec.Raw(_canonical_number(value).encode())
        case _:
            return value


def _canonical_number(value: int | Decimal) -> str:
    if type(value) is int:
        return str(value)
    shortest = _EXACT.normalize(value)
    return to_text(shortest) if shortest.adjusted() in _PLAIN_EXPONENTS else str(shortest)


class Comparison(msgspec.Struct, frozen=True):
    """`gt`, `gte`, `lt` or `lte` against a bound. Only JSON numbers compare; everything else does not pass."""

    op: FilterOp
    bound: Decimal | None
    """None if the filter's value is not a number: then nothing passes."""

    def __call__(self, values: Sequence[Value]) -> pa.Array:
        return pa.array([self.passes(value) for value in values], pa.bool_())

    def passes(self, value: Value) -> bool:
        if self.bound is None or (type(value) is not int and type(value) is not Decimal):
            return False
        match self.op:
            case FilterOp.GT:
                return value > self.bound
            case FilterOp.GTE:
                return value >= self.bound
            case FilterOp.LT:
                return value < self.bound
            case _:
                return value <= self.bound


def _within_limit(column: pa.Array, limit: int | Decimal) -> pa.Array:
    """The column. Raises ArrowInvalid if a value is too large to be summed exactly."""
    extremes = pc.min_max(column)
    if extremes["min"].is_valid and not -limit < extremes["min"].as_py() <= extremes["max"].as_py() < limit:
        raise pa.ArrowInvalid("a value is too large")
    return column
