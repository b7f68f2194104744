"""Plans: what a subscription costs, how often, and for which usage. A published version never changes."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.field_types import Code, Currency, Name
from schemas.price import Price

FeeCents = Annotated[int, Meta(ge=0, le=10**15)]
TrialDays = Annotated[int, Meta(ge=0, le=730)]


class Interval(StrEnum):
    """The unit of a billing period; a plan's period is a whole number of them."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"

    @property
    def months(self) -> int:
        """Months in one interval; 0 for day and week."""
        return {"month": 1, "quarter": 3, "year": 12}.get(self.value, 0)

    @property
    def days(self) -> int:
        """Days in one interval; 0 for month, quarter and year."""
        return {"day": 1, "week": 7}.get(self.value, 0)


class Timing(StrEnum):
    """When a fixed fee is billed."""

    ADVANCE = "advance"
    """At the start of the period it pays for."""
    ARREARS = "arrears"
    """When that period has ended."""


class FixedFee(msgspec.Struct, frozen=True, kw_only=True):
    """An amount per period, whatever was used."""

    code: Code
    name: Name
    amount_cents: FeeCents
    """Minor units of the plan's currency, as in every field whose name ends in `_cents`."""
    timing: Timing = Timing.ADVANCE


class UsagePrice(msgspec.Struct, frozen=True, kw_only=True):
    """The price of the usage that a meter counts, billed when the period has ended."""

    code: Code
    name: Name
    meter: Code
    price: Price
    group_by: Annotated[tuple[Name, ...], Meta(max_length=16)] = ()
    """Group keys of the meter: every group is priced alone, with its own tiers, packages and free units."""


class PlanDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of a plan version. The codes of its fees and prices are unique within it."""

    currency: Currency
    interval: Interval
    interval_count: Annotated[int, Meta(ge=1)] = 1
    trial_days: TrialDays = 0
    fixed_fees: Annotated[tuple[FixedFee, ...], Meta(max_length=100)] = ()
    usage_prices: Annotated[tuple[UsagePrice, ...], Meta(max_length=100)] = ()


class PlanVersion(PlanDefinition, frozen=True, kw_only=True):
    """A published version of a plan."""

    code: str
    version: int
    name: str


class Overrides(msgspec.Struct, frozen=True, kw_only=True):
    """Amounts and prices of one subscription that replace those of its plan, by code."""

    fees: Annotated[Mapping[Code, FeeCents], Meta(max_length=100)] = {}
    prices: Annotated[Mapping[Code, Price], Meta(max_length=100)] = {}


def overridden(plan: PlanVersion, overrides: Overrides) -> PlanVersion:
    """The plan with the overrides applied; codes that the plan does not have are ignored."""
    if not overrides.fees and not overrides.prices:
        return plan
    return msgspec.structs.replace(
        plan,
        fixed_fees=tuple(
            msgspec.structs.replace(fee, amount_cents=overrides.fees.get(fee.code, fee.amount_cents))
            for fee in plan.fixed_fees
        ),
        usage_prices=tuple(
            msgspec.structs.replace(usage, price=overrides.prices.get(usage.code, usage.price))
            for usage in plan.usage_prices
        ),
    )
