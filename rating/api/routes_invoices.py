"""`/v1/invoices`: what customers owe."""

from typing import Any

from ingest_gateway.http.answers import listed
from ingest_gateway.http.envelope import Response
from ingest_gateway.http.idempotency import answer, command_of
from ingest_gateway.http.query import to_timestamp
from ingest_gateway.http.request import Description, Request, Route
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
from schemas.command import Applied
from schemas.invoice import Invoice, InvoiceQuery

ALL, ONE = "/v1/invoices", "/v1/invoices/{id}"
LINES, LINE = f"{ONE}/line-items", f"{ONE}/line-items/{{line_id}}"


class InvoiceRoutes:
    """Administrators make, change and finalize invoices, readers see them."""

    def __init__(self, invoices: Invoices, documents: InvoiceDocuments) -> None:
        self._invoices = invoices
        self._show = documents.show

    def routes(self) -> list[Route]:
        admin, read = Scope.ADMIN, Scope.READ
        creates = Description("Create a draft invoice", body_type=InvoiceRequest, response_type=OneInvoice, status=201)
        lists = Description("List invoices", query_type=InvoiceParameters, response_type=InvoicePage)
        updates = Description(
            "Change what is given of a draft", body_type=InvoiceChangesRequest, response_type=OneInvoice
        )
        adds = Description("Add a line to a draft", body_type=LineRequest, response_type=OneInvoice, status=201)
        changes = Description(
            "Change what is given of a draft's line", body_type=LineChangesRequest, response_type=OneInvoice
        )
        return [
            Route("POST", ALL, admin, self.create, creates),
            Route("GET", ALL, read, self.index, lists),
            Route("GET", ONE, read, self.get, Description("Retrieve an invoice", response_type=OneInvoice)),
            Route("PATCH", ONE, admin, self.update, updates),
            Route("DELETE", ONE, admin, self.delete, Description("Delete a draft", response_type=Deleted)),
            Route("POST", LINES, admin, self.add_line, adds),
            Route("PATCH", LINE, admin, self.update_line, changes),
            Route(
                "DELETE",
                LINE,
                admin,
                self.delete_line,
                Description("Take a line off a draft", response_type=OneInvoice),
            ),
        ]

    async def create(self, request: Request) -> Response:
        document = await request.document()
        new = new_invoice(read_record(document, InvoiceRequest))
        done = await self._invoices.create(command_of(request, document), new)
        return self._answer(request, done, status=201, location=f"{ALL}/{done.answer.id}")

    async def index(self, request: Request) -> Response:
        asked = request.asked(InvoiceParameters)
        query = InvoiceQuery(
            account=request.account,
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
        return request.success(invoices=invoices, pagination=pagination)

    async def get(self, request: Request) -> Response:
        return request.success(invoice=self._show(await self._invoices.get(request.account, request.path["id"])))

    async def update(self, request: Request) -> Response:
        document = await request.document()
        changes = invoice_changes(read_record(document, InvoiceChangesRequest))
        return self._answer(
            request, await self._invoices.update(command_of(request, document), request.path["id"], changes)
        )

    async def delete(self, request: Request) -> Response:
        done = await self._invoices.delete(command_of(request), request.path["id"])
        return answer(request, done, id=request.path["id"], deleted=True)

    async def add_line(self, request: Request) -> Response:
        document = await request.document()
        new = new_line(read_record(document, LineRequest))
        return self._answer(
            request, await self._invoices.add_line(command_of(request, document), request.path["id"], new), 201
        )

    async def update_line(self, request: Request) -> Response:
        document = await request.document()
        changes = line_changes(read_record(document, LineChangesRequest))
        command, invoice_id, line_id = command_of(request, document), request.path["id"], request.path["line_id"]
        return self._answer(request, await self._invoices.update_line(command, invoice_id, line_id, changes))

    async def delete_line(self, request: Request) -> Response:
        done = await self._invoices.delete_line(command_of(request), request.path["id"], request.path["line_id"])
        return self._answer(request, done)

    def _answer(
        self, request: Request, done: Applied[Invoice], status: int = 200, location: str | None = None
    ) -> Response:
        return answer(request, done, status=status, location=location, invoice=self._show(done.answer))


def _moment(text: str | None, field: str) -> Any:
    return None if text is None else to_timestamp(text, field)
