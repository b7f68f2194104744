"""`/v1/invoices/{id}/…`: what is done to an invoice as a whole."""

from ingest_gateway.http.envelope import Reply
from ingest_gateway.http.idempotency import act_of, answer
from ingest_gateway.http.request import About, Call, Endpoint
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
from schemas.command import Done
from schemas.invoice import Invoice


class InvoiceStepRoutes:
    """Administrators take the steps."""

    def __init__(self, invoices: Invoices, documents: InvoiceDocuments) -> None:
        self._invoices = invoices
        self._show = documents.show

    def endpoints(self) -> list[Endpoint]:
        admin = Scope.ADMIN
        finalizes = About(
            "Finalize a draft: it gets its number, is paid from the customer's balance, and never changes again",
            gives=OneInvoice,
        )
        voids = About("Void an invoice that nobody has to pay", gives=OneInvoice)
        gives_up = About("Mark an invoice as uncollectible", gives=OneInvoice)
        pays = About(
            "Record a payment, of all that is due or of a part",
            takes=PaymentRequest,
            may_be_bodiless=True,
            gives=PaidInvoice,
        )
        payments = About("List an invoice's payments", gives=SomePayments)
        return [
            Endpoint("POST", f"{ONE}/finalize", admin, self.finalize, finalizes),
            Endpoint("POST", f"{ONE}/void", admin, self.void, voids),
            Endpoint("POST", f"{ONE}/mark-uncollectible", admin, self.give_up, gives_up),
            Endpoint("POST", f"{ONE}/pay", admin, self.pay, pays),
            Endpoint("GET", f"{ONE}/payments", Scope.READ, self.payments, payments),
        ]

    async def finalize(self, call: Call) -> Reply:
        return self._answer(call, await self._invoices.finalize(act_of(call), call.path["id"]))

    async def void(self, call: Call) -> Reply:
        return self._answer(call, await self._invoices.void(act_of(call), call.path["id"]))

    async def give_up(self, call: Call) -> Reply:
        return self._answer(call, await self._invoices.give_up(act_of(call), call.path["id"]))

    async def pay(self, call: Call) -> Reply:
        document = await call.document(optional=True)
        new = new_payment(read_record(document, PaymentRequest))
        done = await self._invoices.pay(act_of(call, document), call.path["id"], new)
        paid = done.answer
        return answer(call, done, invoice=self._show(paid.invoice), payment=payment_document(paid.payment))

    async def payments(self, call: Call) -> Reply:
        found = await self._invoices.payments(call.account, call.path["id"])
        return call.success(payments=[payment_document(payment) for payment in found])

    def _answer(self, call: Call, done: Done[Invoice]) -> Reply:
        return answer(call, done, invoice=self._show(done.answer))
