"""Invoices: drafts, changes, stored invoices with their lines, the public view. Amounts are whole minor units."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from schemas.customer import Customer
from schemas.field_types import PositiveCents
from schemas.ids import AccountId
from schemas.tax import TaxRate

TaxRates = tuple[TaxRate, ...]


class InvoiceStatus(StrEnum):
    """The state of an invoice."""

    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    VOID = "void"
    UNCOLLECTIBLE = "uncollectible"


class CollectionMethod(StrEnum):
    """How an invoice is collected."""

    CHARGE_AUTOMATICALLY = "charge_automatically"
    SEND_INVOICE = "send_invoice"


class PercentDiscount(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="percent"
):
    """A percentage of the subtotal."""

    percent: Annotated[Decimal, Meta(description="From 0 to 100, with up to 6 decimal places, as a string.")]


class FixedDiscount(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="fixed"
):
    """An amount, at most the subtotal."""

    amount_cents: PositiveCents


Discount = PercentDiscount | FixedDiscount


class NewLine(msgspec.Struct, frozen=True, kw_only=True):
    """A request to add a line."""

    description: str | None = None
    quantity: int = 1
    unit_amount: int
    tax_rates: TaxRates | None = None
    """None uses the customer's rates."""
    period_start: int | None = None
    period_end: int | None = None
    reference: str | None = None
    """Unique in its invoice: the key by which an invoice run finds its own lines."""
    usage: Any = None
    """The exact decimals behind a usage line; stored as JSON."""


class NewInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """A request to create a draft. For None the customer's value is used, or the account's."""

    customer_id: str
    subscription_id: str | None = None
    currency: str | None = None
    collection_method: CollectionMethod = CollectionMethod.SEND_INVOICE
    days_until_due: int | None = None
    due_at: int | None = None
    description: str | None = None
    customer_memo: str | None = None
    footer: str | None = None
    metadata: dict[str, str] = {}
    discount: Discount | None = None
    period_start: int | None = None
    period_end: int | None = None
    lines: tuple[NewLine, ...] = ()


class InvoiceChanges(msgspec.Struct, frozen=True, kw_only=True):
    """A partial update of a draft: absent fields stay as they are."""

    collection_method: CollectionMethod | UnsetType = UNSET
    days_until_due: int | UnsetType | None = UNSET
    due_at: int | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    customer_memo: str | UnsetType | None = UNSET
    footer: str | UnsetType | None = UNSET
    metadata: dict[str, str] | UnsetType = UNSET
    discount: Discount | UnsetType | None = UNSET
    period_start: int | UnsetType | None = UNSET
    period_end: int | UnsetType | None = UNSET


class LineChanges(msgspec.Struct, frozen=True, kw_only=True):
    """A partial update of a draft's line: absent fields stay as they are."""

    description: str | UnsetType | None = UNSET
    quantity: int | UnsetType = UNSET
    unit_amount: int | UnsetType = UNSET
    tax_rates: TaxRates | UnsetType | None = UNSET
    period_start: int | UnsetType | None = UNSET
    period_end: int | UnsetType | None = UNSET


class InvoiceLine(msgspec.Struct, frozen=True, kw_only=True):
    """A stored line. `quantity × unit_amount = amount`; discount and tax are its shares of the invoice's."""

    id: str
    position: int
    reference: str | None
    description: str | None
    quantity: int
    unit_amount: int
    amount: int = 0
    discount: int = 0
    tax: int = 0
    own_tax_rates: TaxRates | None
    """None follows the customer's rates while the invoice is a draft."""
    tax_rates: TaxRates = ()
    """The rates that apply."""
    usage: Any
    period_start: int | None
    period_end: int | None
    created_at: int
    updated_at: int


class InvoiceTax(msgspec.Struct, frozen=True, kw_only=True):
    """The tax of one rate over the lines it applies to."""

    name: str
    percent: Decimal
    base: int
    amount: int


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """A stored invoice: `Σ lines = subtotal`, `subtotal − discount + tax = total`."""

    id: str
    account: AccountId
    customer_id: str
    subscription_id: str | None
    status: InvoiceStatus = InvoiceStatus.DRAFT
    number: str | None = None
    currency: str
    collection_method: CollectionMethod
    days_until_due: int | None
    due_at: int | None
    public_token: str | None = None
    description: str | None
    customer_memo: str | None
    footer: str | None
    metadata: dict[str, str]
    discount_asked: Discount | None
    subtotal: int = 0
    discount: int = 0
    tax: int = 0
    total: int = 0
    taxes: tuple[InvoiceTax, ...] = ()
    paid: int = 0
    credited: int = 0
    """By credit notes, tax included."""
    period_start: int | None
    period_end: int | None
    lines: tuple[InvoiceLine, ...]
    finalized_at: int | None = None
    paid_at: int | None = None
    closed_at: int | None = None
    """When it was voided, or marked uncollectible."""
    created_at: int
    updated_at: int

    @property
    def due(self) -> int:
        """The amount still to be paid; 0 for a paid or void invoice."""
        if self.status in (InvoiceStatus.VOID, InvoiceStatus.PAID):
            return 0
        return max(0, self.total - self.paid - self.credited)


class InvoiceQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A listing of invoices, which must match every field that is given."""

    account: AccountId
    customer_id: str | None = None
    subscription_id: str | None = None
    status: InvoiceStatus | None = None
    number: str | None = None
    period_start: int | None = None
    """Only invoices whose period begins then or later."""
    period_end: int | None = None
    """Only invoices whose period ends then or earlier."""
    limit: int = 50
    cursor: str | None = None


class PublicInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the page of an invoice shows."""

    invoice: Invoice
    customer: Customer
    balance_change: int
    """The amount it added to the customer's balance, in minor units; below zero if it used some."""
