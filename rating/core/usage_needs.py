"""The usage that cycle steps need, grouped into queries: one for all customers that share meter, groups and time."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal

import msgspec

from rating.core.pricing import Group
from schemas.ids import AccountId
from schemas.meter import Meter
from schemas.plan import UsagePrice
from schemas.timestamps import MINUTE
from schemas.usage import UsageQuery
from schemas.watermark import Watermark

MAX_CUSTOMERS_PER_QUERY = 1_000
"""The most customers that one query names."""

MAX_ROWS_PER_QUERY = 1_000_000


class UsageNeed(msgspec.Struct, frozen=True, kw_only=True):
    """The usage behind one price of one subscription's period."""

    subscription: str
    account: AccountId
    customer: str
    price: UsagePrice
    start: int
    end: int


class UsageBatch(msgspec.Struct, frozen=True, kw_only=True):
    """One usage query, and the needs that it answers."""

    account: AccountId
    meter: str
    group_by: tuple[str, ...]
    start: int
    end: int
    needs: tuple[UsageNeed, ...]

    def query(self, meter: Meter) -> UsageQuery:
        return UsageQuery(
            account=self.account,
            meter=meter,
            start=self.start,
            end=self.end,
            customers=tuple(dict.fromkeys(one.customer for one in self.needs)),
            group_by=self.group_by,
            limit=MAX_ROWS_PER_QUERY,
        )

    def halves(self) -> tuple["UsageBatch", ...]:
        """The batch in two halves; none if it holds a single need."""
        middle = len(self.needs) // 2
        parts = (self.needs[:middle], self.needs[middle:]) if middle else ()
        return tuple(msgspec.structs.replace(self, needs=part) for part in parts)


def usage_batches(needs: Sequence[UsageNeed]) -> Iterator[UsageBatch]:
    """As few batches as possible. A period shorter than a minute needs none: its usage is empty."""
    by_query: dict[tuple[AccountId, str, tuple[str, ...], int, int], list[UsageNeed]] = defaultdict(list)
    for one in needs:
        start, end = whole_minute(one.start), whole_minute(one.end)
        if start < end:
            by_query[one.account, one.price.meter, one.price.group_by, start, end].append(one)
    for (account, meter, group_by, start, end), sharing in by_query.items():
        for place in range(0, len(sharing), MAX_CUSTOMERS_PER_QUERY):
            some = tuple(sharing[place : place + MAX_CUSTOMERS_PER_QUERY])
            yield UsageBatch(account=account, meter=meter, group_by=group_by, start=start, end=end, needs=some)


def whole_minute(at: int) -> int:
    """The start of the minute that holds the moment.

    Usage is stored by the minute. A boundary within a minute (a start, a change of plan) counts from the start of that
    minute for both of its periods, so that no event is in two periods or in none.
    """
    return at // MINUTE * MINUTE


class MeasuredUsage(msgspec.Struct, frozen=True, kw_only=True):
    """The usage behind one need, and the watermark it was read at."""

    quantities: dict[Group, Decimal]
    watermark: Watermark


UsageKey = tuple[str, str, int]
"""Subscription, price code, and the start of the period."""
