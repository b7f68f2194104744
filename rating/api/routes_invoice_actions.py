"""`/v1/invoices/{id}/…`: what is done to an invoice as a whole."""

from ingest_gateway.http.envelope import Response
from ingest_gateway.http.idempotency import answer, command_of
from ingest_gateway.http.request import Description, Request, Route
from ingest_gateway.http.validation import read_record
from rating.api.invoice_documents import InvoiceDocuments, OneInvoice
from rating.api.invoice_ports import Invoices
from rating.api.payment_documents import (
    PaidInvoice,
    PaymentRequest,
    SomePayments,
    new_payment,
    payment_document,
)
from rating.api.routes_invoices import ONE
from schemas.account import Scope
from schemas.command import Applied
from schemas.invoice import Invoice


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
        return self._answer(request, await self._invoices.finalize(command_of(request), request.path["id"]))

    async def void(self, request: Request) -> Response:
        return self._answer(request, await self._invoices.void(command_of(request), request.path["id"]))

    async def mark_uncollectible(self, request: Request) -> Response:
        return self._answer(request, await self._invoices.mark_uncollectible(command_of(request), request.path["id"]))

    async def pay(self, request: Request) -> Response:
        document = await request.document(optional=True)
        new = new_payment(read_record(document, PaymentRequest))
        done = await self._invoices.pay(command_of(request, document), request.path["id"], new)
        paid = done.answer
        return answer(request, done, invoice=self._show(paid.invoice), payment=payment_document(paid.payment))

    async def payments(self, request: Request) -> Response:
        found = await self._invoices.payments(request.account, request.path["id"])
        return request.success(payments=[payment_document(payment) for payment in found])

    def _answer(self, request: Request, done: Applied[Invoice]) -> Response:
        return answer(request, done, invoice=self._show(done.answer))
