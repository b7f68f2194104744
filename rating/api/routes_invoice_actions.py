"""`/v1/invoices/{id}/…`: finalize, void, mark as uncollectible and pay; and the payments of an invoice."""

from typing import Any

import msgspec

from ingest_gateway.http.envelope import Success
from ingest_gateway.http.resource import RequestBody, Resource, list_of
from ingest_gateway.http.route import Route
from rating.api.invoice_documents import InvoiceDocuments, OneInvoice
from rating.api.ports import Invoices
from rating.api.routes_invoices import ONE
from schemas.field_types import Name, PositiveCents
from schemas.moments import Moment
from schemas.payment import GivenMethod, NewPayment, Payment, PaymentMethod, PaymentResult
from schemas.timestamps import to_iso


class PaymentRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A payment received; without an amount, of everything due. A customer's balance is used automatically."""

    amount_cents: PositiveCents | None = None
    method: GivenMethod = GivenMethod.OTHER
    reference: Name | None = None
    paid_at: Moment | None = None


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
        paid_at=request.paid_at,
    )


def payment_document(payment: Payment) -> dict[str, Any]:
    return {
        "id": payment.id,
        "invoice_id": payment.invoice_id,
        "amount_cents": payment.amount,
        "method": payment.method,
        "reference": payment.reference,
        "paid_at": to_iso(payment.paid_at),
        "created_at": to_iso(payment.created_at),
    }


def invoice_action_routes(invoices: Invoices, documents: InvoiceDocuments) -> list[Route]:
    """Administrators finalize, void and settle invoices, readers see their payments."""
    invoice = Resource.named("invoice", OneInvoice, documents.show)

    def paid_invoice(result: PaymentResult) -> dict[str, Any]:
        return {"invoice": documents.show(result.invoice), "payment": payment_document(result.payment)}

    return [
        invoice.act(
            "POST",
            f"{ONE}/finalize",
            "Finalize a draft: it gets its number, is paid from the customer's balance, and never changes again",
            lambda command, path: invoices.finalize(command, path["id"]),
        ),
        invoice.act(
            "POST",
            f"{ONE}/void",
            "Void an invoice: it no longer has to be paid",
            lambda command, path: invoices.void(command, path["id"]),
        ),
        invoice.act(
            "POST",
            f"{ONE}/mark-uncollectible",
            "Mark an invoice as uncollectible",
            lambda command, path: invoices.mark_uncollectible(command, path["id"]),
        ),
        Resource(PaidInvoice, paid_invoice).change(
            "POST",
            f"{ONE}/pay",
            "Record a payment, in full or in part",
            RequestBody(PaymentRequest, new_payment, optional=True),
            lambda command, path, new: invoices.pay(command, path["id"], new),
        ),
        list_of("payments", SomePayments, payment_document).get(
            f"{ONE}/payments",
            "List an invoice's payments",
            lambda account, path: invoices.payments(account, path["id"]),
        ),
    ]
