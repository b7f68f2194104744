"""Payments: money received for an invoice."""

from enum import StrEnum

import msgspec

from schemas.ids import AccountId
from schemas.invoice import Invoice


class GivenMethod(StrEnum):
    """How money was received from outside."""

    BANK_TRANSFER = "bank_transfer"
    CARD = "card"
    CASH = "cash"
    CHECK = "check"
    OTHER = "other"


class PaymentMethod(StrEnum):
    """How an invoice was paid: by a given method, or from the customer's balance."""

    BANK_TRANSFER = "bank_transfer"
    CARD = "card"
    CASH = "cash"
    CHECK = "check"
    OTHER = "other"
    CUSTOMER_BALANCE = "customer_balance"
    """Only finalizing pays from the balance: a recorded payment could use more than the balance has."""


class NewPayment(msgspec.Struct, frozen=True, kw_only=True):
    """A request to record a payment."""

    amount: int | None = None
    """None for the whole amount due."""
    method: GivenMethod = GivenMethod.OTHER
    reference: str | None = None
    paid_at: int | None = None
    """None for now."""


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A stored payment, which never changes."""

    id: str
    account: AccountId
    invoice_id: str
    amount: int
    method: PaymentMethod
    reference: str | None
    paid_at: int
    created_at: int


class PaymentResult(msgspec.Struct, frozen=True, kw_only=True):
    """A payment, and the invoice after it was recorded."""

    invoice: Invoice
    payment: Payment
