"""What invoices put on their customers' balances and what they use of them, one after the other."""

from collections.abc import Mapping, Sequence

from schemas.invoice import Invoice
from schemas.money import checked_minor

BalanceKey = tuple[str, str]
"""A customer and a currency: one balance, which pays nothing in another currency."""


def balance_key(invoice: Invoice) -> BalanceKey:
    return invoice.customer_id, invoice.currency


def movements(invoices: Sequence[Invoice], balances: Mapping[BalanceKey, int]) -> list[int]:
    """By invoice, in their order: above zero what it adds, below zero what it uses, never more than there is.

    Raises Invalid where a balance would be more than a ledger holds.
    """
    left = dict(balances)
    moved = []
    for invoice in invoices:
        there = left.get(balance_key(invoice), 0)
        # What comes to less than nothing is the lesser of the two as well: so its rest is added.
        amount = -min(invoice.total, there)
        left[balance_key(invoice)] = checked_minor(there + amount)
        moved.append(amount)
    return moved
