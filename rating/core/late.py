"""Usage that was counted after its period was billed: what it adds, or takes away, on lines of its own."""

import msgspec

from rating.core.bill import difference_lines
from rating.core.charge import Quantities, charge
from rating.core.local_time import last_date, local_date
from rating.core.rated_period import RatedPeriod
from schemas.draft_lines import DraftLine


def late_lines(period: RatedPeriod, quantities: Quantities, currency: str) -> list[DraftLine]:
    """The whole period at its own terms, less what was billed of it; they say which period that is."""
    price, portion = period.price, period.service.portion
    now = charge(price, quantities, currency, portion)
    before = charge(price, period.quantities, currency, portion)
    dates = _dates(period)
    return [
        msgspec.structs.replace(line, description=f"{line.description}, counted late for {dates}")
        for line in difference_lines(price, now, before, currency=currency, service=period.service)
    ]


def _dates(period: RatedPeriod) -> str:
    """`2027-01-15 to 2027-01-31`, or one date."""
    first = local_date(period.service.start, period.timezone)
    last = last_date(period.service.end, period.timezone)
    return f"{first}" if first == last else f"{first} to {last}"
