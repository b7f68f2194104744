"""Proration: the part of a period's amount that some of its days cost."""

from decimal import Decimal

import msgspec

from schemas.money import exponent, rounded_share


class Portion(msgspec.Struct, frozen=True, kw_only=True):
    """Days of service out of the days of the full period."""

    days: int
    period_days: int

    @property
    def is_whole(self) -> bool:
        return self.days == self.period_days


WHOLE = Portion(days=1, period_days=1)


def prorated(minor: int, portion: Portion) -> int:
    """The portion of an amount in minor units, rounded once."""
    return rounded_share(minor, portion.days, portion.period_days)


def prorated_to_minor(amount: Decimal, currency: str, portion: Portion) -> int:
    """The portion of an amount in major units; nothing is rounded before the division."""
    return rounded_share(amount, portion.days * 10 ** exponent(currency), portion.period_days)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A fee paid in advance gives way to another: two amounts, each rounded alone."""

    credit: int
    """Below zero: what was paid for the days that remain."""
    charge: int

    @property
    def net(self) -> int:
        return self.credit + self.charge


def changed(old: int, new: int, remaining: Portion) -> Change:
    """`remaining` counts the day of the change too."""
    return Change(credit=-prorated(old, remaining), charge=prorated(new, remaining))
