"""Payments as the API takes and shows them."""

import msgspec

from ingest_gateway.http.answers import Success
from ingest_gateway.http.query import to_timestamp
from rating.api.invoice_documents import OneInvoice
from schemas.field_types import Name, PositiveCents, TimestampText
from schemas.payment import GivenMethod, NewPayment, Payment, PaymentMethod
from schemas.timestamps import to_iso


class PaymentRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A payment that came in; without an amount, of all that is due. What the customer is owed is used by itself."""

    amount_cents: PositiveCents | None = None
    method: GivenMethod = GivenMethod.OTHER
    reference: Name | None = None
    paid_at: TimestampText | None = None


class PaymentDocument(msgspec.Struct, kw_only=True):
    """A payment. It never changes."""

    id: str
    invoice_id: str
    amount_cents: int
    method: PaymentMethod
    reference: str | None
    paid_at: str
    created_at: str


class PaidInvoice(OneInvoice, kw_only=True):
    """An invoice and its newest payment."""

    payment: PaymentDocument


class SomePayments(Success, kw_only=True):
    """All payments of an invoice, oldest first."""

    payments: list[PaymentDocument]


def new_payment(request: PaymentRequest) -> NewPayment:
    return NewPayment(
        amount=request.amount_cents,
        method=request.method,
        reference=request.reference,
        paid_at=None if request.paid_at is None else to_timestamp(request.paid_at, "paid_at"),
    )


def payment_document(payment: Payment) -> dict[str, object]:
    return {
        "id": payment.id,
        "invoice_id": payment.invoice_id,
        "amount_cents": payment.amount,
        "method": payment.method,
        "reference": payment.reference,
        "paid_at": to_iso(payment.paid_at),
        "created_at": to_iso(payment.created_at),
    }
