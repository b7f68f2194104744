"""`/v1/invoice-runs`: bill what is due; and what lies ahead of a subscription, or behind an invoice."""

from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from ingest_gateway.http.answers import listed
from ingest_gateway.http.envelope import Reply
from ingest_gateway.http.idempotency import act_of, answer
from ingest_gateway.http.paging import Paging
from ingest_gateway.http.query import to_moment
from ingest_gateway.http.request import About, Call, Endpoint
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
from rating.api.run_ports import Runs
from schemas.account import Scope
from schemas.errors import Invalid
from schemas.invoice_run import RunOrder

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


class RunRoutes:
    """Whatever a run finds due is billed once, however often it is asked for; a key tells the run that was begun."""

    def __init__(self, runs: Runs, documents: InvoiceDocuments, clock: Callable[[], int]) -> None:
        self._runs = runs
        self._documents = documents
        self._clock = clock

    def endpoints(self) -> list[Endpoint]:
        admin, read = Scope.ADMIN, Scope.READ
        begins = About("Bill whatever is due; the run goes on by itself", takes=NewRun, gives=OneRun, status=202)
        ahead = About("What a subscription will be billed next, as things are", gives=OneUpcoming)
        back = About("Count an invoice's usage anew from the raw events", gives=OneInvoiceAudit)
        return [
            Endpoint("POST", RUNS, admin, self.begin, begins),
            Endpoint("GET", RUNS, read, self.index, About("List invoice runs", asks=Paging, gives=RunPage)),
            Endpoint("GET", f"{RUNS}/{{id}}", read, self.get, About("How far a run is", gives=OneRun)),
            Endpoint("GET", "/v1/subscriptions/{id}/upcoming-invoice", read, self.upcoming, ahead),
            Endpoint("GET", "/v1/invoices/{id}/audit", read, self.audit, back),
        ]

    async def begin(self, call: Call) -> Reply:
        document = await call.document(optional=True)
        asked = read_record(document, NewRun)
        now = self._clock()
        as_of = now if asked.as_of is None else to_moment(asked.as_of, "as_of")
        if as_of > now:
            raise Invalid("as_of: what is not due yet cannot be billed; give a moment that has come", field="as_of")
        order = RunOrder(account=call.account, as_of=as_of, is_dry=asked.dry_run)
        done = await self._runs.begin(act_of(call, document), order)
        location = f"{RUNS}/{done.answer.id}"
        return answer(call, done, status=202, location=location, invoice_run=run_document(done.answer))

    async def index(self, call: Call) -> Reply:
        asked = call.asked(Paging)
        shown, pagination = listed(await self._runs.list(call.account, asked.limit, asked.cursor), run_document)
        return call.success(invoice_runs=shown, pagination=pagination)

    async def get(self, call: Call) -> Reply:
        return call.success(invoice_run=run_document(await self._runs.get(call.account, call.path["id"])))

    async def upcoming(self, call: Call) -> Reply:
        found = await self._runs.upcoming(call.account, call.path["id"])
        return call.success(upcoming_invoice=upcoming_document(found, self._documents))

    async def audit(self, call: Call) -> Reply:
        return call.success(audit=audit_document(await self._runs.audit(call.account, call.path["id"])))
