"""Identifiers: their form, and how they are generated."""

import secrets
from collections.abc import Callable
from typing import NewType

AccountId = NewType("AccountId", str)
"""One company's live data, or its test data: every row of every table belongs to exactly one account."""

RequestId = NewType("RequestId", str)

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"

# Two digits at a time: every posted event gets such an id.
_PAIRS = tuple(first + second for first in ALPHABET for second in ALPHABET)

Randomness = Callable[[int], int]
"""A whole number below the given bound; `secrets.randbelow` in production, a counter in tests."""


def _tail(length: int, below: Randomness) -> str:
    number = below(36**length)
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 36)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def base36(number: int, width: int) -> str:
    """`number` in base 36, left-padded to `width`."""
    pairs = []
    while number:
        number, pair = divmod(number, 36 * 36)
        pairs.append(_PAIRS[pair])
    return "".join(reversed(pairs)).lstrip("0").rjust(width, "0")


def new_cuid(now_ms: int, below: Randomness = secrets.randbelow) -> str:
    """25 characters that start with `c` and sort by time: the id format of the API contract."""
    return "c" + base36(now_ms, 8)[-8:] + _tail(16, below)
