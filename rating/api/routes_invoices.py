"""`/v1/invoices`: invoices, their lines, and the requests that create and change drafts."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ingest_gateway.http.envelope import Deleted
from ingest_gateway.http.paging import Paging
from ingest_gateway.http.resource import RequestBody, Resource, page_of
from ingest_gateway.http.route import Route
from rating.api.invoice_documents import InvoiceDocuments, InvoicePage, OneInvoice
from rating.api.ports import Invoices
from rating.api.validation import check_percent, check_tax_rates
from schemas.errors import Invalid
from schemas.field_types import Cents, Currency, Id, LongText, Metadata, Name, NetTerms
from schemas.ids import AccountId
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
from schemas.moments import Moment
from schemas.tax import TaxRate

Quantity = Annotated[int, Meta(ge=0, le=10**12)]
Rates = Annotated[tuple[TaxRate, ...], Meta(max_length=10, description="Replaces the customer's.")]

_RENAMED = {"unit_amount_cents": "unit_amount", "line_items": "lines", "due_date": "due_at"}


class LineRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new line of `quantity × unit_amount_cents`; an amount below zero gives money back."""

    description: LongText | None = None
    quantity: Quantity = 1
    unit_amount_cents: Cents
    tax_rates: Rates | None = None
    period_start: Moment | None = None
    period_end: Moment | None = None


class LineChangesRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes the given fields; the others stay."""

    description: LongText | UnsetType | None = UNSET
    quantity: Quantity | UnsetType = UNSET
    unit_amount_cents: Cents | UnsetType = UNSET
    tax_rates: Rates | UnsetType | None = UNSET
    period_start: Moment | UnsetType | None = UNSET
    period_end: Moment | UnsetType | None = UNSET


class InvoiceRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new draft. Takes at most one of `days_until_due` and `due_date`."""

    customer_id: Id
    currency: Currency | None = None
    collection_method: CollectionMethod = CollectionMethod.SEND_INVOICE
    days_until_due: NetTerms | None = None
    due_date: Moment | None = None
    description: LongText | None = None
    customer_memo: LongText | None = None
    footer: LongText | None = None
    metadata: Metadata = {}
    discount: Discount | None = None
    period_start: Moment | None = None
    period_end: Moment | None = None
    line_items: Annotated[tuple[LineRequest, ...], Meta(max_length=1000)] = ()


class InvoiceChangesRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes the given fields; the others stay."""

    collection_method: CollectionMethod | UnsetType = UNSET
    days_until_due: NetTerms | UnsetType | None = UNSET
    due_date: Moment | UnsetType | None = UNSET
    description: LongText | UnsetType | None = UNSET
    customer_memo: LongText | UnsetType | None = UNSET
    footer: LongText | UnsetType | None = UNSET
    metadata: Metadata | UnsetType = UNSET
    discount: Discount | UnsetType | None = UNSET
    period_start: Moment | UnsetType | None = UNSET
    period_end: Moment | UnsetType | None = UNSET


class InvoiceParameters(Paging, frozen=True, kw_only=True):
    """Filters of invoices; all of them must match."""

    customer_id: Id | None = None
    status: InvoiceStatus | None = None
    subscription_id: Id | None = None
    number: Name | None = None
    period_start: Annotated[Moment, Meta(description="Only periods that begin then or later.")] | None = None
    period_end: Annotated[Moment, Meta(description="Only periods that end then or earlier.")] | None = None


def new_invoice(request: InvoiceRequest) -> NewInvoice:
    """Raises Invalid, with the field."""
    fields = _fields(request)
    lines = tuple(new_line(line, f"line_items[{place}].") for place, line in enumerate(request.line_items))
    return NewInvoice(**fields | {"lines": lines})


def new_line(request: LineRequest, at: str = "") -> NewLine:
    """`at` is the prefix of the line's fields in error messages."""
    return NewLine(**_fields(request, at))


def invoice_changes(request: InvoiceChangesRequest) -> InvoiceChanges:
    return InvoiceChanges(**_fields(request))


def line_changes(request: LineChangesRequest) -> LineChanges:
    return LineChanges(**_fields(request))


def _fields(request: msgspec.Struct, at: str = "") -> dict[str, Any]:
    """The fields under the names of the port's record. Raises Invalid."""
    given = {name: getattr(request, name) for name in request.__struct_fields__}
    rates = given.get("tax_rates")
    if rates is not None and rates is not UNSET:
        check_tax_rates(rates, at)
    if isinstance(given.get("discount"), PercentDiscount):
        check_percent(given["discount"].percent, f"{at}discount.percent")
    start, end = given.get("period_start"), given.get("period_end")
    if isinstance(start, int) and isinstance(end, int) and end < start:
        raise Invalid(f"{at}period_end: the period ends before it begins", field=f"{at}period_end")
    return {_RENAMED.get(name, name): value for name, value in given.items()}


ALL, ONE = "/v1/invoices", "/v1/invoices/{id}"
LINES, LINE = f"{ONE}/line-items", f"{ONE}/line-items/{{line_id}}"


def invoice_routes(invoices: Invoices, documents: InvoiceDocuments) -> list[Route]:
    """Administrators create and change drafts, readers see invoices."""
    invoice = Resource.named("invoice", OneInvoice, documents.show)
    return [
        invoice.create(
            ALL,
            "Create a draft invoice",
            RequestBody(InvoiceRequest, new_invoice),
            lambda command, _, new: invoices.create(command, new),
            location=lambda created: f"{ALL}/{created.id}",
        ),
        page_of("invoices", InvoicePage, documents.show).query(
            ALL,
            "List invoices",
            InvoiceParameters,
            lambda account, _, parameters: invoices.list(_query(account, parameters)),
        ),
        invoice.get(ONE, "Retrieve an invoice", lambda account, path: invoices.get(account, path["id"])),
        invoice.change(
            "PATCH",
            ONE,
            "Change given fields of a draft",
            RequestBody(InvoiceChangesRequest, invoice_changes),
            lambda command, path, changes: invoices.update(command, path["id"], changes),
        ),
        Resource(Deleted, _deleted).act(
            "DELETE", ONE, "Delete a draft", lambda command, path: invoices.delete(command, path["id"])
        ),
        *_line_routes(invoices, invoice),
    ]


def _line_routes(invoices: Invoices, invoice: Resource[Invoice]) -> list[Route]:
    return [
        invoice.create(
            LINES,
            "Add a line to a draft",
            RequestBody(LineRequest, new_line),
            lambda command, path, new: invoices.add_line(command, path["id"], new),
        ),
        invoice.change(
            "PATCH",
            LINE,
            "Change given fields of a draft's line",
            RequestBody(LineChangesRequest, line_changes),
            lambda command, path, changes: invoices.update_line(command, path["id"], path["line_id"], changes),
        ),
        invoice.act(
            "DELETE",
            LINE,
            "Remove a line from a draft",
            lambda command, path: invoices.delete_line(command, path["id"], path["line_id"]),
        ),
    ]


def _deleted(invoice: Invoice) -> dict[str, Any]:
    return {"id": invoice.id, "deleted": True}


def _query(account: AccountId, parameters: InvoiceParameters) -> InvoiceQuery:
    return InvoiceQuery(
        account=account,
        customer_id=parameters.customer_id,
        subscription_id=parameters.subscription_id,
        status=parameters.status,
        number=parameters.number,
        period_start=parameters.period_start,
        period_end=parameters.period_end,
        limit=parameters.limit,
        cursor=parameters.cursor,
    )
