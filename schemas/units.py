"""Durations and sizes as people write them, `300ms`, `35d`, `64MB`, to and from whole microseconds and bytes."""

import re

from schemas.timestamps import DAY, MINUTE, SECOND, Micros

_DURATIONS = {"d": DAY, "h": 60 * MINUTE, "m": MINUTE, "s": SECOND, "ms": SECOND // 1000}
_SIZES = {"GB": 10**9, "MB": 10**6, "KB": 10**3, "B": 1}
_AMOUNT = re.compile(r"(?P<number>[0-9]{1,12})\s*(?P<unit>[A-Za-z]+)", re.ASCII)


def _parse(text: str, units: dict[str, int]) -> int:
    if text.strip() == "0":
        return 0  # Zero needs no unit.
    amount = _AMOUNT.fullmatch(text.strip())
    if amount is None or amount["unit"] not in units:
        raise ValueError(text)
    return int(amount["number"]) * units[amount["unit"]]


def _show(amount: int, units: dict[str, int]) -> str:
    """In the largest unit that divides it."""
    for unit, worth in units.items():
        if amount >= worth and amount % worth == 0:
            return f"{amount // worth}{unit}"
    smallest, worth = min(units.items(), key=lambda item: item[1])
    return f"{amount // worth}{smallest}"


def parse_duration(text: str) -> Micros:
    """`300ms`, `10s`, `5m`, `1h`, `35d` or `0`; ValueError for anything else."""
    return Micros(_parse(text, _DURATIONS))


def show_duration(micros: int) -> str:
    """Exact down to the millisecond; `parse_duration` reads it back."""
    return _show(micros, _DURATIONS)


def parse_size(text: str) -> int:
    """`512B`, `64KB`, `10MB` or `4GB`, in thousands; ValueError for anything else."""
    return _parse(text, _SIZES)


def show_size(size: int) -> str:
    """`parse_size` reads it back."""
    return _show(size, _SIZES)
