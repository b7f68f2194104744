"""`/v1/invoices/{id}/credit-notes`: credit notes of final invoices, and their documents."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ingest_gateway.http.envelope import Success
from ingest_gateway.http.resource import RequestBody, Resource, list_of
from ingest_gateway.http.route import Route
from rating.api.invoice_documents import InvoiceDocuments, OneInvoice
from rating.api.ports import CreditNotes
from rating.api.routes_invoices import ONE
from schemas.credit_note import CreditedLine, CreditNote, CreditNoteResult, NewCreditNote
from schemas.errors import Invalid
from schemas.field_types import Id, LongText, Metadata, PositiveCents
from schemas.timestamps import to_iso


class CreditedLineRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line to credit; without an amount, the whole rest of it."""

    line_id: Id
    amount_cents: PositiveCents | None = None


class CreditNoteRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Credits an amount or lines, before tax; the whole rest of the invoice if neither is given."""

    reason: LongText | None = None
    amount_cents: PositiveCents | None = None
    lines: Annotated[tuple[CreditedLineRequest, ...], Meta(max_length=1000)] = ()
    metadata: Metadata = {}


class CreditNoteLineDocument(msgspec.Struct, kw_only=True):
    """The part of one line."""

    line_id: str
    amount_cents: int
    tax_cents: int
    total_cents: int


class CreditNoteDocument(msgspec.Struct, kw_only=True):
    """A credit note. It never changes."""

    id: str
    invoice_id: str
    number: str
    reason: str | None
    amount_cents: int
    tax_cents: int
    total_cents: int
    lines: list[CreditNoteLineDocument]
    metadata: dict[str, str]
    created_at: str


class CreditedInvoice(OneInvoice, kw_only=True):
    """An invoice and its newest credit note."""

    credit_note: CreditNoteDocument


class SomeCreditNotes(Success, kw_only=True):
    """All credit notes of an invoice, oldest first."""

    credit_notes: list[CreditNoteDocument]


def new_credit_note(request: CreditNoteRequest) -> NewCreditNote:
    """Raises Invalid for both an amount and lines."""
    if request.lines and request.amount_cents is not None:
        raise Invalid(
            "amount_cents: give either amount_cents or lines, not both; lines may have amounts of their own",
            field="amount_cents",
        )
    lines = tuple(CreditedLine(line_id=line.line_id, amount=line.amount_cents) for line in request.lines)
    return NewCreditNote(reason=request.reason, amount=request.amount_cents, lines=lines, metadata=request.metadata)


def credit_note_document(note: CreditNote) -> dict[str, Any]:
    document = CreditNoteDocument(
        id=note.id,
        invoice_id=note.invoice_id,
        number=note.number,
        reason=note.reason,
        amount_cents=note.amount,
        tax_cents=note.tax,
        total_cents=note.total,
        lines=[
            CreditNoteLineDocument(
                line_id=line.line_id,
                amount_cents=line.amount,
                tax_cents=line.tax,
                total_cents=line.amount + line.tax,
            )
            for line in note.lines
        ],
        metadata=note.metadata,
        created_at=to_iso(note.created_at),
    )
    shown: dict[str, Any] = msgspec.to_builtins(document)
    return shown


NOTES = f"{ONE}/credit-notes"


def credit_note_routes(credit_notes: CreditNotes, documents: InvoiceDocuments) -> list[Route]:
    """Administrators create credit notes, readers see them; a credit note never changes."""

    def credited_invoice(result: CreditNoteResult) -> dict[str, Any]:
        return {"credit_note": credit_note_document(result.credit_note), "invoice": documents.show(result.invoice)}

    return [
        Resource(CreditedInvoice, credited_invoice).create(
            NOTES,
            "Credit an invoice",
            RequestBody(CreditNoteRequest, new_credit_note, optional=True),
            lambda command, path, new: credit_notes.create(command, path["id"], new),
        ),
        list_of("credit_notes", SomeCreditNotes, credit_note_document).get(
            NOTES, "List an invoice's credit notes", lambda account, path: credit_notes.of_invoice(account, path["id"])
        ),
    ]
