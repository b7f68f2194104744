"""`/v1/invoices`: invoices, their lines, and the requests that make and change drafts."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ingest_gateway.http.description import Description
from ingest_gateway.http.envelope import Deleted, Response, listed
from ingest_gateway.http.idempotency import applied_response, command_of
from ingest_gateway.http.paging import Paging
from ingest_gateway.http.query import to_timestamp
from ingest_gateway.http.request import Request
from ingest_gateway.http.route import Route
from ingest_gateway.http.validation import read_record
from rating.api.invoice_documents import InvoiceDocuments, InvoicePage, OneInvoice
from rating.api.ports import Invoices
from schemas.account import Scope
from schemas.command import Applied
from schemas.customer import is_percent
from schemas.errors import Invalid
from schemas.field_types import Cents, Currency, Id, LongText, Metadata, Name, NetTerms, TimestampText
from schemas.invoice import (
    CollectionMethod,
    Discount,
    Invoice,
    InvoiceChanges,
    InvoiceQuery,
    InvoiceStatus,
    LineChanges,
    NewInvoice,
    NewLine,
    PercentDiscount,
)
from schemas.tax import TaxRate

Quantity = Annotated[int, Meta(ge=0, le=10**12)]
Rates = Annotated[tuple[TaxRate, ...], Meta(max_length=10, description="Instead of the customer's.")]

_MOMENTS = {"due_date": "due_at", "period_start": "period_start", "period_end": "period_end"}
_RENAMED = {"unit_amount_cents": "unit_amount", "line_items": "lines", **_MOMENTS}


class LineRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line to be added: `quantity × unit_amount_cents`, below zero for what is given back."""

    description: LongText | None = None
    quantity: Quantity = 1
    unit_amount_cents: Cents
    tax_rates: Rates | None = None
    period_start: TimestampText | None = None
    period_end: TimestampText | None = None


class LineChangesRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is given is changed; the rest stays."""

    description: LongText | UnsetType | None = UNSET
    quantity: Quantity | UnsetType = UNSET
    unit_amount_cents: Cents | UnsetType = UNSET
    tax_rates: Rates | UnsetType | None = UNSET
    period_start: TimestampText | UnsetType | None = UNSET
    period_end: TimestampText | UnsetType | None = UNSET


class InvoiceRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A draft to be made. Of `days_until_due` and `due_date` at most one."""

    customer_id: Id
    currency: Currency | None = None
    collection_method: CollectionMethod = CollectionMethod.SEND_INVOICE
    days_until_due: NetTerms | None = None
    due_date: TimestampText | None = None
    description: LongText | None = None
    customer_memo: LongText | None = None
    footer: LongText | None = None
    metadata: Metadata = {}
    discount: Discount | None = None
    period_start: TimestampText | None = None
    period_end: TimestampText | None = None
    line_items: Annotated[tuple[LineRequest, ...], Meta(max_length=1000)] = ()


class InvoiceChangesRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is given is changed; the rest stays."""

    collection_method: CollectionMethod | UnsetType = UNSET
    days_until_due: NetTerms | UnsetType | None = UNSET
    due_date: TimestampText | UnsetType | None = UNSET
    description: LongText | UnsetType | None = UNSET
    customer_memo: LongText | UnsetType | None = UNSET
    footer: LongText | UnsetType | None = UNSET
    metadata: Metadata | UnsetType = UNSET
    discount: Discount | UnsetType | None = UNSET
    period_start: TimestampText | UnsetType | None = UNSET
    period_end: TimestampText | UnsetType | None = UNSET


class InvoiceParameters(Paging, frozen=True, kw_only=True):
    """Which invoices; all that is given must match."""

    customer_id: Id | None = None
    status: InvoiceStatus | None = None
    subscription_id: Id | None = None
    number: Name | None = None
    period_start: Annotated[TimestampText, Meta(description="Only periods that begin then or later.")] | None = None
    period_end: Annotated[TimestampText, Meta(description="Only periods that end then or earlier.")] | None = None


def new_invoice(request: InvoiceRequest) -> NewInvoice:
    """Raises Invalid for what no type can say."""
    fields = _fields(request)
    lines = tuple(new_line(line, f"line_items[{place}].") for place, line in enumerate(request.line_items))
    return NewInvoice(**fields | {"lines": lines})


def new_line(request: LineRequest, at: str = "") -> NewLine:
    """`at` is where the line is in the request."""
    return NewLine(**_fields(request, at))


def invoice_changes(request: InvoiceChangesRequest) -> InvoiceChanges:
    return InvoiceChanges(**_fields(request))


def line_changes(request: LineChangesRequest) -> LineChanges:
    return LineChanges(**_fields(request))


def _fields(request: msgspec.Struct, at: str = "") -> dict[str, Any]:
    """By the record's names, moments read, percentages checked; a period must not end before it begins."""
    given = {name: getattr(request, name) for name in request.__struct_fields__}
    for name in _MOMENTS.keys() & given.keys():
        if isinstance(given[name], str):
            given[name] = to_timestamp(given[name], at + name)
    for place, rate in enumerate(given.get("tax_rates") or () if given.get("tax_rates") is not UNSET else ()):
        check_percent(rate.percent, f"{at}tax_rates[{place}].percent")
    if isinstance(given.get("discount"), PercentDiscount):
        check_percent(given["discount"].percent, f"{at}discount.percent")
    start, end = given.get("period_start"), given.get("period_end")
    if isinstance(start, int) and isinstance(end, int) and end < start:
        raise Invalid(f"{at}period_end: the period ends before it begins", field=f"{at}period_end")
    return {_RENAMED.get(name, name): value for name, value in given.items()}


def check_percent(percent: Any, field: str) -> None:
    """Raises Invalid."""
    if not is_percent(percent):
        raise Invalid(f"{field}: expected 0 to 100 with up to 6 decimal places; got {percent}", field=field)


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
        asked = request.read_query(InvoiceParameters)
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
        return request.success(invoice=self._show(await self._invoices.get(request.account, request.path_params["id"])))

    async def update(self, request: Request) -> Response:
        document = await request.document()
        changes = invoice_changes(read_record(document, InvoiceChangesRequest))
        return self._answer(
            request, await self._invoices.update(command_of(request, document), request.path_params["id"], changes)
        )

    async def delete(self, request: Request) -> Response:
        done = await self._invoices.delete(command_of(request), request.path_params["id"])
        return applied_response(request, done, id=request.path_params["id"], deleted=True)

    async def add_line(self, request: Request) -> Response:
        document = await request.document()
        new = new_line(read_record(document, LineRequest))
        return self._answer(
            request, await self._invoices.add_line(command_of(request, document), request.path_params["id"], new), 201
        )

    async def update_line(self, request: Request) -> Response:
        document = await request.document()
        changes = line_changes(read_record(document, LineChangesRequest))
        command, invoice_id, line_id = (
            command_of(request, document),
            request.path_params["id"],
            request.path_params["line_id"],
        )
        return self._answer(request, await self._invoices.update_line(command, invoice_id, line_id, changes))

    async def delete_line(self, request: Request) -> Response:
        done = await self._invoices.delete_line(
            command_of(request), request.path_params["id"], request.path_params["line_id"]
        )
        return self._answer(request, done)

    def _answer(
        self, request: Request, done: Applied[Invoice], status: int = 200, location: str | None = None
    ) -> Response:
        return applied_response(request, done, status=status, location=location, invoice=self._show(done.answer))


def _moment(text: str | None, field: str) -> Any:
    return None if text is None else to_timestamp(text, field)
