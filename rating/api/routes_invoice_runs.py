"""Invoice runs, upcoming invoices and audits as the API shows them."""

from typing import Any

import msgspec

from ingest_gateway.http.answers import Listed, Success
from rating.api.invoice_documents import InvoiceDocument, InvoiceDocuments, LineDocument
from schemas.invoice_audit import InvoiceAudit, LineAudit
from schemas.invoice_run import InvoiceRunRecord, RunState, UpcomingInvoice
from schemas.quantity import to_text
from schemas.timestamps import to_iso


class RunDocument(msgspec.Struct, kw_only=True):
    """An invoice run: what it did so far. What it did is done, however it ends."""

    id: str
    state: RunState
    as_of: str
    dry_run: bool
    due: int
    turns: int
    passed_by: int
    invoices: int
    finalized: int
    below_zero: int
    held: int
    totals: dict[str, int]
    dropped: dict[str, int]
    waiting: tuple[str, ...]
    error: str | None
    created_at: str
    updated_at: str


class OneRun(Success, kw_only=True):
    """One run."""

    invoice_run: RunDocument


class RunPage(Listed, kw_only=True):
    """One page of runs."""

    invoice_runs: list[RunDocument]


class UpcomingLineDocument(LineDocument, kw_only=True):
    """A line that is not there yet."""

    id: str | None  # type: ignore[assignment] # it has none


class UpcomingDocument(InvoiceDocument, kw_only=True):
    """An invoice that is not there yet: its id is null, and its usage is what has been counted so far."""

    id: str | None  # type: ignore[assignment] # it has none
    line_items: list[UpcomingLineDocument]  # type: ignore[assignment] # nor have they
    bills_at: str


class OneUpcoming(Success, kw_only=True):
    """What a subscription will be billed next."""

    upcoming_invoice: UpcomingDocument


class LineAuditDocument(msgspec.Struct, kw_only=True):
    """A usage line as it was billed, and as the raw events say now. Quantities are exact decimals."""

    line_id: str
    reference: str | None
    description: str | None
    meter: str
    group: dict[str, str | None]
    billed_quantity: str
    counted_quantity: str
    difference: str
    billed_amount_cents: int
    counted_amount_cents: int
    right: bool
    watermark: dict[str, int]


class AuditDocumentOfInvoice(msgspec.Struct, kw_only=True):
    """An invoice held against the raw events, up to the watermarks that it was billed at."""

    invoice_id: str
    invoice_number: str | None
    currency: str
    right: bool
    subtotal_cents: int
    sum_of_lines_cents: int
    lines: list[LineAuditDocument]


class OneInvoiceAudit(Success, kw_only=True):
    """The audit of one invoice."""

    audit: AuditDocumentOfInvoice


def run_document(record: InvoiceRunRecord) -> dict[str, Any]:
    summary = record.summary
    document = RunDocument(
        id=record.id,
        state=record.state,
        as_of=to_iso(summary.as_of),
        dry_run=summary.is_dry,
        due=record.due,
        turns=summary.turns,
        passed_by=summary.passed_by,
        invoices=summary.invoices,
        finalized=summary.finalized,
        below_zero=summary.below_zero,
        held=summary.held,
        totals=summary.totals,
        dropped=summary.dropped,
        waiting=summary.waiting,
        error=record.error,
        created_at=to_iso(record.created_at),
        updated_at=to_iso(record.updated_at),
    )
    shown: dict[str, Any] = msgspec.to_builtins(document)
    return shown


def upcoming_document(upcoming: UpcomingInvoice, documents: InvoiceDocuments) -> dict[str, Any]:
    shown = documents.show(upcoming.invoice)
    lines = [{**line, "id": None} for line in shown["line_items"]]
    return {**shown, "id": None, "line_items": lines, "bills_at": to_iso(upcoming.at)}


def audit_document(audit: InvoiceAudit) -> dict[str, Any]:
    document = AuditDocumentOfInvoice(
        invoice_id=audit.invoice_id,
        invoice_number=audit.number,
        currency=audit.currency,
        right=audit.is_right,
        subtotal_cents=audit.subtotal,
        sum_of_lines_cents=audit.sum_of_lines,
        lines=[_line(line) for line in audit.lines],
    )
    shown: dict[str, Any] = msgspec.to_builtins(document)
    return shown


def _line(line: LineAudit) -> LineAuditDocument:
    return LineAuditDocument(
        line_id=line.line_id,
        reference=line.reference,
        description=line.description,
        meter=line.meter,
        group=line.group,
        billed_quantity=to_text(line.billed_quantity),
        counted_quantity=to_text(line.counted_quantity),
        difference=to_text(line.difference),
        billed_amount_cents=line.billed_amount,
        counted_amount_cents=line.counted_amount,
        right=line.is_right,
        watermark={str(partition): number for partition, number in sorted(line.watermark.flushes.items())},
    )
