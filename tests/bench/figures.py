"""A measured figure beside its target."""

from typing import Any

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the report. `details` are for whoever wants to know how it came about."""

    name: str
    value: float
    unit: str
    target: float
    moonshot: float | None = None
    less_is_better: bool = False
    details: dict[str, Any] = {}

    @property
    def reached(self) -> bool:
        return self.value <= self.target if self.less_is_better else self.value >= self.target

    def line(self) -> str:
        sign = "≤" if self.less_is_better else "≥"
        verdict = "reached" if self.reached else "MISSED"
        moonshot = "" if self.moonshot is None else f", moonshot {self.moonshot:,g}"
        return f"{self.name:<48} {self.value:>12,.4g} {self.unit:<10} {verdict} ({sign} {self.target:,g}{moonshot})"


class TotalsDiffer(Exception):
    """Speed without exactness is no result."""
