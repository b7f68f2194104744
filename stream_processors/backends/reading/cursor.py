"""Cursors: the sort key of a page's last row, opaque to clients and checked when they return it."""

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated

import msgspec

from schemas.errors import Invalid
from schemas.moments import MOMENTS_END

Key = tuple[int | str, ...]

_LONGEST = 4096
_Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


def encode_cursor(key: Sequence[int | str]) -> str:
    """The key as URL-safe text."""
    return base64.urlsafe_b64encode(msgspec.json.encode(list(key))).decode().rstrip("=")


UINT16 = range(2**16)
UINT32 = range(2**32)
INT63 = range(2**63)
"""The number of a flush or a frame."""
MOMENT = range(MOMENTS_END)
INT64 = range(-(2**63), 2**63)

Shape = Sequence[type[str] | range]
"""For each part of a key its type: text, or whole numbers within the bounds of its column."""


def decode_cursor(text: str, shape: Shape) -> Key:
    """The key in the cursor. Raises Invalid unless it has exactly these types in this order.

    The store would refuse any other key as a fault of ours: a number that no column holds, or a text with a NUL.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        key = msgspec.json.decode(raw if len(text) <= _LONGEST else b"", type=list[_Whole | str])
    except (binascii.Error, msgspec.DecodeError, ValueError) as error:
        raise invalid_cursor() from error
    if len(key) != len(shape) or not all(map(_fits, key, shape)):
        raise invalid_cursor()
    return tuple(key)


def _fits(part: int | str, kind: type[str] | range) -> bool:
    if isinstance(kind, range):
        return isinstance(part, int) and part in kind
    return isinstance(part, str) and "\0" not in part


def invalid_cursor() -> Invalid:
    """The error for a cursor that no listing returned."""
    return Invalid(
        "cursor: not one of ours, or of another kind of listing; "
        "send next_cursor of the page before, with the same parameters, or no cursor to start from the first page",
        field="cursor",
    )
