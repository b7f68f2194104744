"""Payments: money that came in for an invoice."""

from enum import StrEnum

import msgspec

from schemas.ids import AccountId
from schemas.invoice import Invoice


class GivenMethod(StrEnum):
    """By which way money came in from outside."""

    BANK_TRANSFER = "bank_transfer"
    CARD = "card"
    CASH = "cash"
    CHECK = "check"
    OTHER = "other"


class PaymentMethod(StrEnum):
    """By which way an invoice was paid: one of those that are given, or out of the customer's own balance."""

    BANK_TRANSFER = "bank_transfer"
    CARD = "card"
    CASH = "cash"
    CHECK = "check"
    OTHER = "other"
    CUSTOMER_BALANCE = "customer_balance"
    """Only finalizing pays so: a payment by hand would use what is not there."""


class NewPayment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment to be recorded."""

    amount: int | None = None
    """None is what is due."""
    method: GivenMethod = GivenMethod.OTHER
    reference: str | None = None
    paid_at: int | None = None
    """None is now."""


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as kept: it never changes."""

    id: str
    account: AccountId
    invoice_id: str
    amount: int
    method: PaymentMethod
    reference: str | None
    paid_at: int
    created_at: int


class PaymentResult(msgspec.Struct, frozen=True, kw_only=True):
    """A payment, and the invoice after it."""

    invoice: Invoice
    payment: Payment
