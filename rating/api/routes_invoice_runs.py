"""`/v1/invoice-runs`: invoice runs; upcoming invoices and invoice audits; and their documents."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ingest_gateway.http.envelope import Listed, Response, Success
from ingest_gateway.http.idempotency import applied_response, command_of
from ingest_gateway.http.paging import Paging
from ingest_gateway.http.request import Request
from ingest_gateway.http.resource import Resource, page_of
from ingest_gateway.http.route import Description, Handler, Route
from ingest_gateway.http.validation import read_record
from rating.api.invoice_documents import InvoiceDocument, InvoiceDocuments, LineDocument
from rating.api.ports import InvoiceRuns
from schemas.account import Scope
from schemas.errors import Invalid
from schemas.invoice_audit import InvoiceAudit, LineAudit
from schemas.invoice_run import InvoiceRunRecord, RunRequest, RunState, UpcomingInvoice
from schemas.moments import Moment
from schemas.quantity import to_text
from schemas.timestamps import to_iso


class RunDocument(msgspec.Struct, kw_only=True):
    """An invoice run and its results so far, which remain however the run ends."""

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
    """A line of an upcoming invoice, without an id."""

    id: str | None  # type: ignore[assignment] # an upcoming one has no id


class UpcomingDocument(InvoiceDocument, kw_only=True):
    """An upcoming invoice: its id is null, and its usage is what has been counted so far."""

    id: str | None  # type: ignore[assignment] # an upcoming one has no id
    line_items: list[UpcomingLineDocument]  # type: ignore[assignment] # nor do its lines
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
    """An invoice compared with the raw events, up to the watermarks that it was billed at."""

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


RUNS = "/v1/invoice-runs"


class NewRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run that bills everything due."""

    as_of: (
        Annotated[Moment, Meta(description="Bills what was due at this time. Defaults to now, and must not be later.")]
        | None
    ) = None
    dry_run: bool = False
    """Calculate, and store nothing."""


def invoice_run_routes(runs: InvoiceRuns, documents: InvoiceDocuments, clock: Callable[[], int]) -> list[Route]:
    """Runs may be repeated: each due period is billed once. A repeated command returns the run that it started."""
    run = Resource.named("invoice_run", OneRun, run_document)

    def show_upcoming(upcoming: UpcomingInvoice) -> dict[str, Any]:
        return upcoming_document(upcoming, documents)

    begins = Description(
        "Bill everything that is due; the run continues in the background",
        body_type=NewRun,
        response_type=OneRun,
        status=202,
    )
    return [
        Route("POST", RUNS, Scope.ADMIN, _begin(runs, clock), begins),
        page_of("invoice_runs", RunPage, run_document).query(
            RUNS,
            "List invoice runs",
            Paging,
            lambda account, _, paging: runs.list(account, paging.limit, paging.cursor),
        ),
        run.get(f"{RUNS}/{{id}}", "Retrieve an invoice run", lambda account, path: runs.get(account, path["id"])),
        Resource.named("upcoming_invoice", OneUpcoming, show_upcoming).get(
            "/v1/subscriptions/{id}/upcoming-invoice",
            "Retrieve what a subscription will be billed next",
            lambda account, path: runs.upcoming(account, path["id"]),
            error_statuses=(409, 422),
        ),
        Resource.named("audit", OneInvoiceAudit, audit_document).get(
            "/v1/invoices/{id}/audit",
            "Recount an invoice's usage from the raw events",
            lambda account, path: runs.audit(account, path["id"]),
            error_statuses=(422,),
        ),
    ]


def _begin(runs: InvoiceRuns, clock: Callable[[], int]) -> Handler:
    async def begin(request: Request) -> Response:
        # The body may be left out, though its description does not say so.
        document = await request.document(optional=True)
        new = read_record(document, NewRun)
        now = clock()
        as_of = now if new.as_of is None else new.as_of
        if as_of > now:
            raise Invalid(
                "as_of: what is not due yet cannot be billed; give a time that is not in the future", field="as_of"
            )
        order = RunRequest(account=request.account, as_of=as_of, is_dry=new.dry_run)
        applied = await runs.begin(command_of(request, document), order)
        location = f"{RUNS}/{applied.answer.id}"
        shown = run_document(applied.answer)
        return applied_response(request, applied, http_status=202, location=location, invoice_run=shown)

    return begin
