"""A charge: one usage price over all its groups, each priced alone, under one minimum and one maximum."""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from rating.core.pricing import RatedQuantity, limits_of, rate
from rating.core.proration import WHOLE, Portion
from schemas.plan import UsagePrice

Group = tuple[str | None, ...]
"""Values of the price's group keys, in their order; empty where there are none."""

Quantities = Mapping[Group, Decimal]

_ZERO = Decimal(0)


class GroupCharge(msgspec.Struct, frozen=True, kw_only=True):
    """One group's share of a charge."""

    group: Group
    rated: RatedQuantity
    cut: int
    """Its part of what the charge's maximum takes off."""

    @property
    def amount(self) -> int:
        return self.rated.amount - self.cut


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """What a usage price comes to in a period."""

    groups: tuple[GroupCharge, ...]
    true_up: int

    @property
    def amount(self) -> int:
        return sum(group.amount for group in self.groups) + self.true_up


def charge(
    usage: UsagePrice, quantities: Quantities, currency: str, portion: Portion = WHOLE, *, settle: bool = True
) -> Charge:
    """A price without groups is charged for no usage too (a first tier's fee, a flat amount); a group is not."""
    measured = quantities if usage.group_by else {(): _ZERO, **quantities}
    rated = [(group, rate(usage.price, measured[group], currency, portion)) for group in sorted(measured, key=_place)]
    together = sum(one.amount for _, one in rated)
    limits = limits_of(usage.price, together, currency, portion, settle=settle)
    cuts = _cuts([one.amount for _, one in rated], limits.cut)
    groups = (GroupCharge(group=group, rated=one, cut=cut) for (group, one), cut in zip(rated, cuts, strict=True))
    return Charge(groups=tuple(groups), true_up=limits.true_up)


def _place(group: Group) -> tuple[tuple[bool, str], ...]:
    """Sorted by value; a missing one comes last."""
    return tuple((value is None, value or "") for value in group)


def _cuts(amounts: list[int], cut: int) -> list[int]:
    """The last lines are cut first, none below zero."""
    cuts = []
    for amount in reversed(amounts):
        taken = min(amount, cut)
        cuts.append(taken)
        cut -= taken
    return cuts[::-1]
