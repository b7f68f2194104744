"""What a plan costs, in words that a customer reads."""

from collections.abc import Iterator
from decimal import Decimal
from typing import assert_never

from schemas.money import to_major
from schemas.plan import FixedFee, PlanDefinition, Timing, UsagePrice
from schemas.price import Flat, Graduated, Package, PerUnit, Price, Tier, Volume
from schemas.quantity import to_text


def price_lines(plan: PlanDefinition) -> Iterator[tuple[str, str]]:
    """A name, and what it costs; a price of several tiers has a line for each."""
    for fee in plan.fixed_fees:
        yield fee.name, _fee(fee, plan)
    for usage in plan.usage_prices:
        yield from _usage(usage, plan)


def interval_text(plan: PlanDefinition) -> str:
    """`interval_text month`, `interval_text 3 months`."""
    unit, count = plan.interval.value, plan.interval_count
    return f"every {unit}" if count == 1 else f"every {count} {unit}s"


def _fee(fee: FixedFee, plan: PlanDefinition) -> str:
    when = "in advance" if fee.timing is Timing.ADVANCE else "in arrears"
    return f"{to_major(fee.amount_cents, plan.currency):,f} {plan.currency} {interval_text(plan)}, {when}"


def _usage(usage: UsagePrice, plan: PlanDefinition) -> Iterator[tuple[str, str]]:
    name = usage.name
    for text in (*_model(usage.price, plan), *_adjusted(usage.price, plan)):
        yield name, text
        name = ""


def _model(price: Price, plan: PlanDefinition) -> Iterator[str]:
    currency = plan.currency
    match price:
        case Flat():
            yield f"{_money(price.amount, currency)} {interval_text(plan)}"
        case PerUnit():
            yield f"{_money(price.unit_price, currency)} a unit"
        case Graduated():
            yield from _tiers(price.tiers, currency, "of these")
        case Volume():
            yield from _tiers(price.tiers, currency, "of all")
        case Package():
            yield f"{_money(price.package_price, currency)} for each {to_text(price.package_size)} units"
            if price.free_units:
                yield f"the first {to_text(price.free_units)} units are free"
        case _:
            assert_never(price)


def _tiers(tiers: tuple[Tier, ...], currency: str, which: str) -> Iterator[str]:
    before = Decimal(0)
    for tier in tiers:
        reach = f"above {to_text(before)}" if tier.up_to is None else f"up to {to_text(tier.up_to)}"
        fee = f", and {_money(tier.flat_fee, currency)}" if tier.flat_fee else ""
        yield f"{reach}: {_money(tier.unit_price, currency)} a unit {which}{fee}"
        before = before if tier.up_to is None else tier.up_to


def _adjusted(price: Price, plan: PlanDefinition) -> Iterator[str]:
    if price.usage_discount:
        yield f"{to_text(price.usage_discount)} units are included"
    if price.percent_discount:
        yield f"less {to_text(price.percent_discount)} %"
    if price.minimum is not None:
        yield f"at least {_money(price.minimum, plan.currency)} {interval_text(plan)}"
    if price.maximum is not None:
        yield f"at most {_money(price.maximum, plan.currency)} {interval_text(plan)}"


def _money(amount: Decimal, currency: str) -> str:
    return f"{to_text(amount)} {currency}"
