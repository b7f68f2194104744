"""`/v1/invoice-runs`: bill what is due; and what lies ahead of a subscription, or behind an invoice."""

from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from ingest_gateway.http.answers import listed
from ingest_gateway.http.envelope import Response
from ingest_gateway.http.idempotency import answer, command_of
from ingest_gateway.http.paging import Paging
from ingest_gateway.http.query import to_timestamp
from ingest_gateway.http.request import Description, Request, Route
from ingest_gateway.http.validation import read_record
from rating.api.invoice_documents import InvoiceDocuments
from rating.api.routes_invoice_runs import (
    OneInvoiceAudit,
    OneRun,
    OneUpcoming,
    RunPage,
    audit_document,
    run_document,
    upcoming_document,
)
from rating.api.run_ports import InvoiceRuns
from schemas.account import Scope
from schemas.errors import Invalid
from schemas.invoice_run import RunRequest

RUNS = "/v1/invoice-runs"

AsOf = Annotated[str, Meta(description="ISO 8601: what was due by then. Now, if not given; never later.")]


class NewRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to bill: everything that is due."""

    as_of: (
        Annotated[str, Meta(description="ISO 8601; by then it was due. Not later than now, which it is if not given.")]
        | None
    ) = None
    dry_run: bool = False
    """Reckon, and keep nothing."""


class InvoiceRunRoutes:
    """Whatever a run finds due is billed once, however often it is asked for; a key tells the run that was begun."""

    def __init__(self, runs: InvoiceRuns, documents: InvoiceDocuments, clock: Callable[[], int]) -> None:
        self._runs = runs
        self._documents = documents
        self._clock = clock

    def routes(self) -> list[Route]:
        admin, read = Scope.ADMIN, Scope.READ
        begins = Description(
            "Bill whatever is due; the run goes on by itself", body_type=NewRun, response_type=OneRun, status=202
        )
        ahead = Description("What a subscription will be billed next, as things are", response_type=OneUpcoming)
        back = Description("Count an invoice's usage anew from the raw events", response_type=OneInvoiceAudit)
        return [
            Route("POST", RUNS, admin, self.begin, begins),
            Route(
                "GET",
                RUNS,
                read,
                self.index,
                Description("List invoice runs", query_type=Paging, response_type=RunPage),
            ),
            Route("GET", f"{RUNS}/{{id}}", read, self.get, Description("How far a run is", response_type=OneRun)),
            Route("GET", "/v1/subscriptions/{id}/upcoming-invoice", read, self.upcoming, ahead),
            Route("GET", "/v1/invoices/{id}/audit", read, self.audit, back),
        ]

    async def begin(self, request: Request) -> Response:
        document = await request.document(optional=True)
        asked = read_record(document, NewRun)
        now = self._clock()
        as_of = now if asked.as_of is None else to_timestamp(asked.as_of, "as_of")
        if as_of > now:
            raise Invalid("as_of: what is not due yet cannot be billed; give a moment that has come", field="as_of")
        order = RunRequest(account=request.account, as_of=as_of, is_dry=asked.dry_run)
        done = await self._runs.begin(command_of(request, document), order)
        location = f"{RUNS}/{done.answer.id}"
        return answer(request, done, status=202, location=location, invoice_run=run_document(done.answer))

    async def index(self, request: Request) -> Response:
        asked = request.asked(Paging)
        shown, pagination = listed(await self._runs.list(request.account, asked.limit, asked.cursor), run_document)
        return request.success(invoice_runs=shown, pagination=pagination)

    async def get(self, request: Request) -> Response:
        return request.success(invoice_run=run_document(await self._runs.get(request.account, request.path["id"])))

    async def upcoming(self, request: Request) -> Response:
        found = await self._runs.upcoming(request.account, request.path["id"])
        return request.success(upcoming_invoice=upcoming_document(found, self._documents))

    async def audit(self, request: Request) -> Response:
        return request.success(audit=audit_document(await self._runs.audit(request.account, request.path["id"])))
