"""`/v1/invoices/{id}/credit-notes`: what is taken back of an invoice that is final."""

from ingest_gateway.http.envelope import Response
from ingest_gateway.http.idempotency import answer, command_of
from ingest_gateway.http.request import Description, Request, Route
from ingest_gateway.http.validation import read_record
from rating.api.credit_note_documents import (
    CreditedInvoice,
    CreditNoteRequest,
    SomeCreditNotes,
    credit_note_document,
    new_credit_note,
)
from rating.api.invoice_documents import InvoiceDocuments
from rating.api.invoice_ports import CreditNotes
from rating.api.routes_invoices import ONE
from schemas.account import Scope

NOTES = f"{ONE}/credit-notes"


class CreditNoteRoutes:
    """Administrators make them, readers see them, nobody changes them."""

    def __init__(self, credit_notes: CreditNotes, documents: InvoiceDocuments) -> None:
        self._credit_notes = credit_notes
        self._show = documents.show

    def routes(self) -> list[Route]:
        creates = Description(
            "Credit an invoice",
            body_type=CreditNoteRequest,
            body_optional=True,
            response_type=CreditedInvoice,
            status=201,
        )
        lists = Description("List an invoice's credit notes", response_type=SomeCreditNotes)
        return [
            Route("POST", NOTES, Scope.ADMIN, self.create, creates),
            Route("GET", NOTES, Scope.READ, self.index, lists),
        ]

    async def create(self, request: Request) -> Response:
        document = await request.document(optional=True)
        new = new_credit_note(read_record(document, CreditNoteRequest))
        done = await self._credit_notes.create(command_of(request, document), request.path["id"], new)
        note = credit_note_document(done.answer.credit_note)
        return answer(request, done, status=201, credit_note=note, invoice=self._show(done.answer.invoice))

    async def index(self, request: Request) -> Response:
        found = await self._credit_notes.of_invoice(request.account, request.path["id"])
        return request.success(credit_notes=[credit_note_document(note) for note in found])
