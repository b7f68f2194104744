"""What invoices add to customers' balances, and what they use of them."""

from collections.abc import Mapping, Sequence

from schemas.invoice import Invoice
from schemas.money import checked_minor

BalanceKey = tuple[str, str]
"""A customer and a currency: one balance, which pays nothing in another currency."""


def balance_key(invoice: Invoice) -> BalanceKey:
    return invoice.customer_id, invoice.currency


def movements(invoices: Sequence[Invoice], balances: Mapping[BalanceKey, int]) -> list[int]:
    """What each invoice, in this order, adds to its customer's balance; below zero, what it uses of the balance.

    An invoice never uses more than the invoices before it left. Raises Invalid if a balance exceeds what the
    ledger can hold.
    """
    left = dict(balances)
    moved = []
    for invoice in invoices:
        available = left.get(balance_key(invoice), 0)
        # A negative total is also the lesser of the two, so it is added to the balance whole.
        amount = -min(invoice.total, available)
        left[balance_key(invoice)] = checked_minor(available + amount)
        moved.append(amount)
    return moved
