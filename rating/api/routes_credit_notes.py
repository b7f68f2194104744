"""`/v1/invoices/{id}/credit-notes`: what is taken back of an invoice that is final."""

from ingest_gateway.http.envelope import Reply
from ingest_gateway.http.idempotency import act_of, answer
from ingest_gateway.http.request import About, Call, Endpoint
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

    def endpoints(self) -> list[Endpoint]:
        creates = About(
            "Credit an invoice", takes=CreditNoteRequest, may_be_bodiless=True, gives=CreditedInvoice, status=201
        )
        lists = About("List an invoice's credit notes", gives=SomeCreditNotes)
        return [
            Endpoint("POST", NOTES, Scope.ADMIN, self.create, creates),
            Endpoint("GET", NOTES, Scope.READ, self.index, lists),
        ]

    async def create(self, call: Call) -> Reply:
        document = await call.document(optional=True)
        new = new_credit_note(read_record(document, CreditNoteRequest))
        done = await self._credit_notes.create(act_of(call, document), call.path["id"], new)
        note = credit_note_document(done.answer.credit_note)
        return answer(call, done, status=201, credit_note=note, invoice=self._show(done.answer.invoice))

    async def index(self, call: Call) -> Reply:
        found = await self._credit_notes.of_invoice(call.account, call.path["id"])
        return call.success(credit_notes=[credit_note_document(note) for note in found])
