"""Verification: usage compared with a recount from the raw events."""

from decimal import Decimal
from typing import NamedTuple

import msgspec

from schemas.ids import AccountId
from schemas.watermark import Watermark


class MeterDay(msgspec.Struct, frozen=True, kw_only=True):
    """A day in UTC on which a meter has usage, or its account has events of its name."""

    account: AccountId
    meter: str
    start: int
    """The first instant of the day, in microseconds since 1970."""
    events: int
    rows: int
    """Stored rows of usage; the store merges some of them at any time."""


class UsageDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's usage in a minute and group that differs from its events."""

    account: AccountId
    meter: str
    customer_id: str
    window_start: int
    window_end: int
    group: dict[str, str | None]
    counted: Decimal | None
    """What `usage` has; None if it has nothing."""
    recounted: Decimal | None
    """What the events make; None if there are none."""
    detail: str = ""
    """What differs if the two values are equal."""


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What was compared of a meter, and how it differs."""

    events: int
    """Events that were recounted."""
    differences: tuple[UsageDifference, ...]
    """The first ones."""
    difference_count: int
    watermark: Watermark
    """The lowest at which a part was compared."""
    skipped: str | None = None
    """Why nothing was compared."""
    next_cursor: str | None = None
    """Where to continue; None if the whole range is compared."""


class VerificationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far usage is verified in idle time."""

    state: str = "off"
    """`off`, `verifying`, `verified`, `retrying: ` and the failure, or `different: ` and an example."""
    verified_until: int | None = None
    """Usage equals the events that arrived up to then; None before the first comparison."""


SpanKey = tuple[str, str, int]
"""Account, meter and start of a span."""


class VerifiedPosition(NamedTuple):
    """How far verification in idle time has come."""

    until: int = 0
    """Usage equals the events that arrived up to then; 0 before the first pass."""
    checked_again: SpanKey = ("", "", 0)
    """The last day that was compared again."""
