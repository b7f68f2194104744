"""Validation of plans and overrides beyond their types; all errors are reported together, each with its field."""

from collections.abc import Iterator

from schemas.money import CURRENCIES
from schemas.plan import Interval, Overrides, PlanDefinition
from schemas.price_rules import FieldError, check_price

MAX_INTERVAL_COUNT = {
    Interval.DAY: 1096,
    Interval.WEEK: 156,
    Interval.MONTH: 36,
    Interval.QUARTER: 12,
    Interval.YEAR: 3,
}
"""A period lasts three years at most."""


def check_plan(plan: PlanDefinition) -> list[FieldError]:
    """The errors of `plan`; empty if it can be published."""
    return [*_period_errors(plan), *_code_errors(plan), *_price_errors(plan)]


def check_overrides(overrides: Overrides) -> list[FieldError]:
    """The errors of the prices among `overrides`, whatever plan they apply to."""
    return [
        (f"overrides.prices.{code}.{field}", wrong)
        for code, price in overrides.prices.items()
        for field, wrong in check_price(price)
    ]


def check_override_codes(overrides: Overrides, plan: PlanDefinition) -> list[FieldError]:
    """An error for each code that the plan does not have: an override without effect is a typing error."""
    fees = {fee.code for fee in plan.fixed_fees}
    prices = {usage.code for usage in plan.usage_prices}
    unknown = [("fees", code, "fixed fee", fees) for code in overrides.fees if code not in fees]
    unknown += [("prices", code, "usage price", prices) for code in overrides.prices if code not in prices]
    return [
        (f"overrides.{part}.{code}", f"the plan has no {what} of that code; it has {', '.join(sorted(has)) or 'none'}")
        for part, code, what, has in unknown
    ]


def _period_errors(plan: PlanDefinition) -> Iterator[FieldError]:
    if plan.currency not in CURRENCIES:
        yield "currency", f"{plan.currency!r} is no ISO 4217 currency code; give one such as USD"
    longest = MAX_INTERVAL_COUNT[plan.interval]
    if plan.interval_count > longest:
        yield "interval_count", f"at most {longest} with the interval {plan.interval.value}: a period of three years"


def _code_errors(plan: PlanDefinition) -> Iterator[FieldError]:
    seen = set[str]()
    fees = [(f"fixed_fees[{place}].code", fee.code) for place, fee in enumerate(plan.fixed_fees)]
    prices = [(f"usage_prices[{place}].code", usage.code) for place, usage in enumerate(plan.usage_prices)]
    for field, code in fees + prices:
        if code in seen:
            yield field, f"{code!r} is used before; every fee and price has a code of its own"
        seen.add(code)


def _price_errors(plan: PlanDefinition) -> Iterator[FieldError]:
    for place, usage in enumerate(plan.usage_prices):
        field = f"usage_prices[{place}]"
        for inner, wrong in check_price(usage.price):
            yield f"{field}.price.{inner}", wrong
        if len(set(usage.group_by)) < len(usage.group_by):
            yield f"{field}.group_by", "names a key twice"
