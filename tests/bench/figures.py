"""A measured figure with its target, if it has one."""

from collections.abc import Iterable
from typing import Any

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the report. `details` state how the value was measured."""

    name: str
    value: float
    unit: str
    target: float | None = None
    moonshot: float | None = None
    less_is_better: bool = False
    details: dict[str, Any] = {}

    @property
    def reached(self) -> bool | None:
        """None if the figure has no target."""
        if self.target is None:
            return None
        return self.value <= self.target if self.less_is_better else self.value >= self.target

    def line(self) -> str:
        measured = f"{self.name:<48} {_readable(self.value):>12} {self.unit:<10}"
        if self.target is None:
            return measured.rstrip()
        sign = "≤" if self.less_is_better else "≥"
        verdict = "reached" if self.reached else "MISSED"
        moonshot = "" if self.moonshot is None else f", moonshot {self.moonshot:,g}"
        return f"{measured} {verdict} ({sign} {self.target:,g}{moonshot})"


def _readable(value: float) -> str:
    """Formats at least four digits, without powers of ten."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def documents(figures: Iterable[Figure]) -> list[dict[str, Any]]:
    """Returns the figures as JSON documents."""
    return [msgspec.to_builtins(figure) | {"reached": figure.reached} for figure in figures]


class TotalsDiffer(Exception):
    """A run counted something other than what was sent, so its speed is no result."""
