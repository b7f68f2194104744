"""Meters: which events are counted, and how they become a quantity."""

from enum import StrEnum
from typing import Any

import msgspec

from schemas.ids import AccountId


class Aggregation(StrEnum):
    """How the values of a customer's events become one quantity."""

    COUNT = "count"
    SUM = "sum"
    MIN = "min"
    MAX = "max"
    AVG = "avg"
    LATEST = "latest"
    """The value of the newest event; on equal timestamps, of the one that arrived last."""
    UNIQUE = "unique"
    """The exact number of different values."""

    @property
    def needs_value(self) -> bool:
        return self is not Aggregation.COUNT

    @property
    def needs_number(self) -> bool:
        return self not in (Aggregation.COUNT, Aggregation.UNIQUE)


class FilterOp(StrEnum):
    EQ = "eq"
    NE = "ne"
    IN = "in"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    EXISTS = "exists"


class MeterFilter(msgspec.Struct, frozen=True, kw_only=True):
    """A condition on one property. JSON types count: the string "5" is not the number 5.

    Numbers compare by value (1 equals 1.0). `gt` … `lte` compare numbers; anything else does not pass.
    A missing property passes `ne` and `exists: false`, nothing else; a property that is null is missing.
    """

    property: str
    op: FilterOp
    value: Any = None


class Meter(msgspec.Struct, frozen=True, kw_only=True):
    """A meter as created: of its fields only the name and the unit may change later."""

    account: AccountId
    code: str
    name: str
    event_name: str
    aggregation: Aggregation
    value_property: str | None = None
    group_by: dict[str, str] = {}
    """Group key → property path, in the order of the usage rows' group values."""
    filters: tuple[MeterFilter, ...] = ()
    unit: str | None = None
    version: int
    """The meter set in which this meter first appears."""
    archived_version: int | None = None
    """The first meter set without it."""
    created_at: int

    def counts_in(self, version: int) -> bool:
        """True if this meter is in the meter set `version`."""
        return self.version <= version and (self.archived_version is None or version < self.archived_version)


class MeterSet(msgspec.Struct, frozen=True, kw_only=True):
    """All meters of all accounts at one version; immutable, and never deleted."""

    version: int
    meters: tuple[Meter, ...]
