"""Quantities: decimals of 38 digits, 12 of them after the point. No function takes or returns a float."""

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation

PRECISION = 38
SCALE = 12
QUANTITY_LIMIT = Decimal(10) ** 15
"""The value of a single event must be smaller than this: 10^11 such values still sum without overflow."""

_STEP = Decimal(1).scaleb(-SCALE)
_CONTEXT = Context(prec=80, rounding=ROUND_HALF_EVEN)
_NUMERIC_TEXT = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)


def from_text(text: str) -> Decimal | None:
    """The number that a string holds in JSON notation; None if it holds none."""
    if len(text) > 100 or not _NUMERIC_TEXT.fullmatch(text):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def to_quantity(value: Decimal) -> Decimal | None:
    """`value` with 12 decimal places, ties to even; None if it is too large to be summed exactly.

    A binary fraction printed in full (0.30000000000000004) has more places than its producer means. The same rounding
    applies wherever a value is read, so that a recount always agrees.
    """
    if not value.is_finite() or value.copy_abs() >= QUANTITY_LIMIT:
        return None
    if value.adjusted() < -SCALE - 2:
        return Decimal(0).quantize(_STEP)
    return value.quantize(_STEP, context=_CONTEXT)


def to_text(value: Decimal) -> str:
    """`12.5`, never `1.25E+1` or `12.500000000000`."""
    if value == 0:
        return "0"
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
