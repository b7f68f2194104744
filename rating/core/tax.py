"""Tax: rounded once per rate over the invoice, then shown by line."""

from collections.abc import Sequence

import msgspec

from rating.core.allocate import largest_remainder
from schemas.money import percent_of
from schemas.tax import TaxAmount, TaxRate


class Taxes(msgspec.Struct, frozen=True, kw_only=True):
    """The tax of an invoice: by rate, as it is owed, and by line, as it is shown. Both add up to the same."""

    by_rate: tuple[TaxAmount, ...]
    by_line: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(tax.amount for tax in self.by_rate)


def tax(amounts: Sequence[int], rates: Sequence[tuple[TaxRate, ...]]) -> Taxes:
    """The tax on each line's amount after discounts; several rates on one line add, they do not compound."""
    distinct = dict.fromkeys(rate for of_line in rates for rate in of_line)
    by_line = [0] * len(amounts)
    by_rate = []
    for rate in distinct:
        bases = [amount if rate in of_line else 0 for amount, of_line in zip(amounts, rates, strict=True)]
        owed = percent_of(sum(bases), rate.percent)
        by_rate.append(TaxAmount(rate=rate, base=sum(bases), amount=owed))
        for place, share in enumerate(_shown(owed, bases, rate)):
            by_line[place] += share
    return Taxes(by_rate=tuple(by_rate), by_line=tuple(by_line))


def _shown(owed: int, bases: Sequence[int], rate: TaxRate) -> tuple[int, ...]:
    above, below = rate.percent.as_integer_ratio()
    return largest_remainder(owed, [base * above for base in bases], below * 100)
