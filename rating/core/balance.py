"""What invoices put on their customers' balances and what they use of them, one after the other."""

from collections.abc import Mapping, Sequence

from schemas.invoice import Invoice
from schemas.money import fitting

Purse = tuple[str, str]
"""A customer and a currency: one balance, which pays nothing in another currency."""


def purse_of(invoice: Invoice) -> Purse:
    return invoice.customer_id, invoice.currency


def movements(invoices: Sequence[Invoice], balances: Mapping[Purse, int]) -> list[int]:
    """By invoice, in their order: above zero what it adds, below zero what it uses, never more than there is.

    Raises Invalid where a balance would be more than a ledger holds.
    """
    left = dict(balances)
    moved = []
    for invoice in invoices:
        there = left.get(purse_of(invoice), 0)
        # What comes to less than nothing is the lesser of the two as well: so its rest is added.
        amount = -min(invoice.total, there)
        left[purse_of(invoice)] = fitting(there + amount)
        moved.append(amount)
    return moved
