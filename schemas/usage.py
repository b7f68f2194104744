"""Usage queries and their results."""

from decimal import Decimal
from enum import StrEnum

import msgspec

from schemas.ids import AccountId
from schemas.meter import Meter
from schemas.watermark import Watermark


class Window(StrEnum):
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    NONE = "none"
    """One row per customer and group for the whole range."""


class UsageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A query of one meter's usage. Times are microseconds at whole minutes; the range is half-open."""

    account: AccountId
    meter: Meter
    start: int
    end: int
    customers: tuple[str, ...] = ()
    """Empty for all customers."""
    window: Window = Window.NONE
    timezone: str = "UTC"
    group_by: tuple[str, ...] = ()
    """The group keys to group by; usage is merged over the meter's other keys."""
    groups: dict[str, tuple[str | None, ...]] = {}
    """Only rows whose group key has one of these values; None matches a missing one."""
    top: int | None = None
    """Only the n customers, or customers and groups, with the largest value, largest first."""
    after: str | None = None
    limit: int = 1000


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    meter: str
    customer_id: str
    window_start: int
    window_end: int
    group: dict[str, str | None]
    value: Decimal


class UsageResult(msgspec.Struct, frozen=True, kw_only=True):
    rows: tuple[UsageRow, ...]
    watermark: Watermark
    """The rows are exactly the events of these flushes and earlier ones."""
    next_cursor: str | None = None


class BackfillStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of a meter's backfill."""

    done: bool
    chunks_done: int
    chunks_total: int | None
    """None until every partition has activated the meter."""
