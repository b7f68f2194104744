"""Customers' balances: what is owed since an invoice came to less than nothing, until other invoices use it."""

import msgspec

from schemas.ids import AccountId


class BalanceEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What one invoice did to its customer's balance; it never changes. The balance is the sum of its entries."""

    id: str
    account: AccountId
    customer_id: str
    invoice_id: str
    currency: str
    amount: int
    """Above zero it is owed to the customer since then, below zero it was used."""
    created_at: int
