"""`/v1/invoices`: what customers owe."""

from typing import Any

from ingest_gateway.http.answers import listed
from ingest_gateway.http.envelope import Reply
from ingest_gateway.http.idempotency import act_of, answer
from ingest_gateway.http.query import to_moment
from ingest_gateway.http.request import About, Call, Endpoint
from ingest_gateway.http.validation import read_record
from rating.api.customer_documents import Deleted
from rating.api.invoice_documents import InvoiceDocuments, InvoicePage, OneInvoice
from rating.api.invoice_ports import Invoices
from rating.api.invoice_requests import (
    InvoiceChangesRequest,
    InvoiceParameters,
    InvoiceRequest,
    LineChangesRequest,
    LineRequest,
    invoice_changes,
    line_changes,
    new_invoice,
    new_line,
)
from schemas.account import Scope
from schemas.command import Done
from schemas.invoice import Invoice, InvoiceQuery

ALL, ONE = "/v1/invoices", "/v1/invoices/{id}"
LINES, LINE = f"{ONE}/line-items", f"{ONE}/line-items/{{line_id}}"


class InvoiceRoutes:
    """Administrators make, change and finalize invoices, readers see them."""

    def __init__(self, invoices: Invoices, documents: InvoiceDocuments) -> None:
        self._invoices = invoices
        self._show = documents.show

    def endpoints(self) -> list[Endpoint]:
        admin, read = Scope.ADMIN, Scope.READ
        creates = About("Create a draft invoice", takes=InvoiceRequest, gives=OneInvoice, status=201)
        lists = About("List invoices", asks=InvoiceParameters, gives=InvoicePage)
        updates = About("Change what is given of a draft", takes=InvoiceChangesRequest, gives=OneInvoice)
        adds = About("Add a line to a draft", takes=LineRequest, gives=OneInvoice, status=201)
        changes = About("Change what is given of a draft's line", takes=LineChangesRequest, gives=OneInvoice)
        return [
            Endpoint("POST", ALL, admin, self.create, creates),
            Endpoint("GET", ALL, read, self.index, lists),
            Endpoint("GET", ONE, read, self.get, About("Retrieve an invoice", gives=OneInvoice)),
            Endpoint("PATCH", ONE, admin, self.update, updates),
            Endpoint("DELETE", ONE, admin, self.delete, About("Delete a draft", gives=Deleted)),
            Endpoint("POST", LINES, admin, self.add_line, adds),
            Endpoint("PATCH", LINE, admin, self.update_line, changes),
            Endpoint("DELETE", LINE, admin, self.delete_line, About("Take a line off a draft", gives=OneInvoice)),
        ]

    async def create(self, call: Call) -> Reply:
        document = await call.document()
        new = new_invoice(read_record(document, InvoiceRequest))
        done = await self._invoices.create(act_of(call, document), new)
        return self._answer(call, done, status=201, location=f"{ALL}/{done.answer.id}")

    async def index(self, call: Call) -> Reply:
        asked = call.asked(InvoiceParameters)
        query = InvoiceQuery(
            account=call.account,
            customer_id=asked.customer_id,
            subscription_id=asked.subscription_id,
            status=asked.status,
            number=asked.number,
            period_start=_moment(asked.period_start, "period_start"),
            period_end=_moment(asked.period_end, "period_end"),
            limit=asked.limit,
            cursor=asked.cursor,
        )
        invoices, pagination = listed(await self._invoices.list(query), self._show)
        return call.success(invoices=invoices, pagination=pagination)

    async def get(self, call: Call) -> Reply:
        return call.success(invoice=self._show(await self._invoices.get(call.account, call.path["id"])))

    async def update(self, call: Call) -> Reply:
        document = await call.document()
        changes = invoice_changes(read_record(document, InvoiceChangesRequest))
        return self._answer(call, await self._invoices.update(act_of(call, document), call.path["id"], changes))

    async def delete(self, call: Call) -> Reply:
        done = await self._invoices.delete(act_of(call), call.path["id"])
        return answer(call, done, id=call.path["id"], deleted=True)

    async def add_line(self, call: Call) -> Reply:
        document = await call.document()
        new = new_line(read_record(document, LineRequest))
        return self._answer(call, await self._invoices.add_line(act_of(call, document), call.path["id"], new), 201)

    async def update_line(self, call: Call) -> Reply:
        document = await call.document()
        changes = line_changes(read_record(document, LineChangesRequest))
        act, invoice_id, line_id = act_of(call, document), call.path["id"], call.path["line_id"]
        return self._answer(call, await self._invoices.update_line(act, invoice_id, line_id, changes))

    async def delete_line(self, call: Call) -> Reply:
        done = await self._invoices.delete_line(act_of(call), call.path["id"], call.path["line_id"])
        return self._answer(call, done)

    def _answer(self, call: Call, done: Done[Invoice], status: int = 200, location: str | None = None) -> Reply:
        return answer(call, done, status=status, location=location, invoice=self._show(done.answer))


def _moment(text: str | None, field: str) -> Any:
    return None if text is None else to_moment(text, field)
