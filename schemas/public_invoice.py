"""A final invoice as its customer may see it."""

import msgspec

from schemas.customer import Customer
from schemas.invoice import Invoice


class PublicInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """With all that its page tells."""

    invoice: Invoice
    customer: Customer
    balance_change: int
    """What it put on the customer's balance in minor units, or below zero what it used of it."""
