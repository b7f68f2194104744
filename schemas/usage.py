"""Asking for usage, and the answer."""

from decimal import Decimal
from enum import StrEnum

import msgspec

from schemas.flush import Watermark
from schemas.ids import AccountId
from schemas.meter import Meter


class Window(StrEnum):
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    NONE = "none"
    """One row per customer and group for the whole range."""


class UsageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One question about one meter. Times are microseconds at whole minutes, the range is half-open."""

    account: AccountId
    meter: Meter
    start: int
    end: int
    customers: tuple[str, ...] = ()
    """None named: all of them."""
    window: Window = Window.NONE
    timezone: str = "UTC"
    group_by: tuple[str, ...] = ()
    """Which of the meter's group keys to keep apart; the others are merged."""
    groups: dict[str, tuple[str | None, ...]] = {}
    """Only rows whose group key has one of these values; None stands for a missing one."""
    top: int | None = None
    """Only the n customers (with group, where grouped) with the largest value, largest first."""
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
    """How far a meter's count of past events is."""

    done: bool
    chunks_done: int
    chunks_total: int | None
    """None while some partition has not yet fixed where the past ends."""
