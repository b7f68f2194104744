"""`/v1/invoices/{id}/…`: finalize, void, mark as uncollectible, pay; and the payments of an invoice."""

import msgspec

from ingest_gateway.http.description import Description
from ingest_gateway.http.envelope import Response, Success
from ingest_gateway.http.idempotency import applied_response, command_of
from ingest_gateway.http.query import to_timestamp
from ingest_gateway.http.request import Request
from ingest_gateway.http.route import Route
from ingest_gateway.http.validation import read_record
from rating.api.invoice_documents import InvoiceDocuments, OneInvoice
from rating.api.ports import Invoices
from rating.api.routes_invoices import ONE
from schemas.account import Scope
from schemas.command import Applied
from schemas.field_types import Name, PositiveCents, TimestampText
from schemas.invoice import Invoice
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


class InvoiceActionRoutes:
    """Administrators take the steps."""

    def __init__(self, invoices: Invoices, documents: InvoiceDocuments) -> None:
        self._invoices = invoices
        self._show = documents.show

    def routes(self) -> list[Route]:
        admin = Scope.ADMIN
        finalizes = Description(
            "Finalize a draft: it gets its number, is paid from the customer's balance, and never changes again",
            response_type=OneInvoice,
        )
        voids = Description("Void an invoice that nobody has to pay", response_type=OneInvoice)
        gives_up = Description("Mark an invoice as uncollectible", response_type=OneInvoice)
        pays = Description(
            "Record a payment, of all that is due or of a part",
            body_type=PaymentRequest,
            body_optional=True,
            response_type=PaidInvoice,
        )
        payments = Description("List an invoice's payments", response_type=SomePayments)
        return [
            Route("POST", f"{ONE}/finalize", admin, self.finalize, finalizes),
            Route("POST", f"{ONE}/void", admin, self.void, voids),
            Route("POST", f"{ONE}/mark-uncollectible", admin, self.mark_uncollectible, gives_up),
            Route("POST", f"{ONE}/pay", admin, self.pay, pays),
            Route("GET", f"{ONE}/payments", Scope.READ, self.payments, payments),
        ]

    async def finalize(self, request: Request) -> Response:
        return self._answer(request, await self._invoices.finalize(command_of(request), request.path_params["id"]))

    async def void(self, request: Request) -> Response:
        return self._answer(request, await self._invoices.void(command_of(request), request.path_params["id"]))

    async def mark_uncollectible(self, request: Request) -> Response:
        return self._answer(
            request, await self._invoices.mark_uncollectible(command_of(request), request.path_params["id"])
        )

    async def pay(self, request: Request) -> Response:
        document = await request.document(optional=True)
        new = new_payment(read_record(document, PaymentRequest))
        done = await self._invoices.pay(command_of(request, document), request.path_params["id"], new)
        paid = done.answer
        return applied_response(request, done, invoice=self._show(paid.invoice), payment=payment_document(paid.payment))

    async def payments(self, request: Request) -> Response:
        found = await self._invoices.payments(request.account, request.path_params["id"])
        return request.success(payments=[payment_document(payment) for payment in found])

    def _answer(self, request: Request, done: Applied[Invoice]) -> Response:
        return applied_response(request, done, invoice=self._show(done.answer))
