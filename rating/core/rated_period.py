"""What earlier turns billed of a period's usage, and for how long more of it may come."""

import msgspec

from rating.core.charge import Quantities
from rating.core.service_period import ServicePeriod
from schemas.flush import Watermark
from schemas.plan import UsagePrice


class RatedPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """One price's usage of one period as it was rated last: what is counted beyond it has come late."""

    price: UsagePrice
    """With the subscription's overrides of then."""
    service: ServicePeriod
    timezone: str
    """In which the period's days were counted."""
    quantities: Quantities
    watermark: Watermark
    """Of the answer that the quantities are from."""


class LateUsageWindow(msgspec.Struct, frozen=True, kw_only=True):
    """For how long after it ended a period may still get usage."""

    window: int
    as_of: int
    """What is measured now holds all that had come by then."""

    def open_until(self, end: int) -> int:
        """Its own end, where nothing can come any more: it is not measured again."""
        until = end + self.window
        return until if until > self.as_of else end
