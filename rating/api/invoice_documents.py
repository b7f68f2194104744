"""Invoices as the API shows them."""

from decimal import Decimal
from typing import Any

import msgspec

from ingest_gateway.http.envelope import Listed, Success
from schemas.invoice import CollectionMethod, Discount, Invoice, InvoiceLine, InvoiceStatus
from schemas.tax import TaxRate
from schemas.timestamps import iso_or_none, to_iso


class LineDocument(msgspec.Struct, kw_only=True):
    """A line. Its total is its amount plus its share of the tax; its share of the discount is a separate field."""

    id: str
    description: str | None
    quantity: int
    unit_amount_cents: int
    amount_cents: int
    discount_amount_cents: int
    tax_amount_cents: int
    total_amount_cents: int
    tax_rates: tuple[TaxRate, ...]
    reference: str | None
    usage: dict[str, Any] | None
    period_start: str | None
    period_end: str | None
    created_at: str
    updated_at: str


class InvoiceTaxDocument(msgspec.Struct, kw_only=True):
    """One tax rate, summed over its lines."""

    name: str
    percent: Decimal
    taxable_cents: int
    tax_cents: int


class InvoiceDocument(msgspec.Struct, kw_only=True):
    """An invoice. Every field is present; a value that is not known yet is null."""

    id: str
    customer_id: str
    subscription_id: str | None
    status: InvoiceStatus
    currency: str
    collection_method: CollectionMethod
    invoice_number: str | None
    public_invoice_url: str | None
    due_date: str | None
    days_until_due: int | None
    description: str | None
    customer_memo: str | None
    footer: str | None
    metadata: dict[str, str]
    discount: Discount | None
    subtotal_cents: int
    discount_cents: int
    tax_cents: int
    total_cents: int
    amount_paid_cents: int
    amount_credited_cents: int
    amount_due_cents: int
    tax_rates: list[InvoiceTaxDocument]
    finalized_at: str | None
    paid_at: str | None
    period_start: str | None
    period_end: str | None
    line_items: list[LineDocument]
    created_at: str
    updated_at: str


class OneInvoice(Success, kw_only=True):
    """One invoice."""

    invoice: InvoiceDocument


class InvoicePage(Listed, kw_only=True):
    """One page of invoices."""

    invoices: list[InvoiceDocument]


class InvoiceDocuments:
    """Makes the documents of invoices, with the address of their public page."""

    def __init__(self, public_url: str) -> None:
        self._public_url = public_url.rstrip("/")

    def show(self, invoice: Invoice) -> dict[str, Any]:
        shown: dict[str, Any] = msgspec.to_builtins(self._document(invoice))
        return shown

    def _document(self, invoice: Invoice) -> InvoiceDocument:
        return InvoiceDocument(
            id=invoice.id,
            customer_id=invoice.customer_id,
            subscription_id=invoice.subscription_id,
            status=invoice.status,
            currency=invoice.currency,
            collection_method=invoice.collection_method,
            invoice_number=invoice.number,
            public_invoice_url=self._url(invoice.public_token),
            due_date=iso_or_none(invoice.due_at),
            days_until_due=invoice.days_until_due,
            description=invoice.description,
            customer_memo=invoice.customer_memo,
            footer=invoice.footer,
            metadata=invoice.metadata,
            discount=invoice.discount_asked,
            subtotal_cents=invoice.subtotal,
            discount_cents=invoice.discount,
            tax_cents=invoice.tax,
            total_cents=invoice.total,
            amount_paid_cents=invoice.paid,
            amount_credited_cents=invoice.credited,
            amount_due_cents=invoice.due,
            tax_rates=_taxes(invoice),
            finalized_at=iso_or_none(invoice.finalized_at),
            paid_at=iso_or_none(invoice.paid_at),
            period_start=iso_or_none(invoice.period_start),
            period_end=iso_or_none(invoice.period_end),
            line_items=[_line(line) for line in invoice.lines],
            created_at=to_iso(invoice.created_at),
            updated_at=to_iso(invoice.updated_at),
        )

    def _url(self, token: str | None) -> str | None:
        return None if token is None else f"{self._public_url}/inv/{token}"


def _taxes(invoice: Invoice) -> list[InvoiceTaxDocument]:
    return [
        InvoiceTaxDocument(name=tax.name, percent=tax.percent, taxable_cents=tax.base, tax_cents=tax.amount)
        for tax in invoice.taxes
    ]


def _line(line: InvoiceLine) -> LineDocument:
    return LineDocument(
        id=line.id,
        description=line.description,
        quantity=line.quantity,
        unit_amount_cents=line.unit_amount,
        amount_cents=line.amount,
        discount_amount_cents=line.discount,
        tax_amount_cents=line.tax,
        total_amount_cents=line.amount + line.tax,
        tax_rates=line.tax_rates,
        reference=line.reference,
        usage=line.usage,
        period_start=iso_or_none(line.period_start),
        period_end=iso_or_none(line.period_end),
        created_at=to_iso(line.created_at),
        updated_at=to_iso(line.updated_at),
    )
