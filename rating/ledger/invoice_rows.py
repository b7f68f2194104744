"""Invoices and their lines as rows of the ledger: from a row to a record, and back."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from rating.ledger.invoice_tables import invoice_lines, invoices
from rating.ledger.rows import RowById
from schemas.errors import NotFound
from schemas.ids import AccountId
from schemas.invoice import (
    CollectionMethod,
    Discount,
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    InvoiceTax,
    TaxRates,
)

_COLUMNS = (
    *("id", "customer_id", "subscription_id", "status", "number", "currency", "collection_method", "days_until_due"),
    *("due_at", "public_token", "subtotal", "discount", "tax", "total", "paid", "credited", "period_start"),
    *("period_end", "finalized_at", "paid_at", "closed_at", "created_at", "updated_at"),
)
"""The fields that have a column of the same name."""

_LINE_COLUMNS = (
    *("id", "position", "reference", "description", "quantity", "unit_amount", "amount", "tax"),
    *("period_start", "period_end", "created_at", "updated_at"),
)


class InvoiceDetails(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of an invoice that no query filters by, stored as JSON."""

    description: str | None
    customer_memo: str | None
    footer: str | None
    metadata: dict[str, str]
    discount_asked: Discount | None
    taxes: tuple[InvoiceTax, ...]


class InvoiceLineDetails(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a line that no query filters by, stored as JSON."""

    discount: int
    own_tax_rates: TaxRates | None
    tax_rates: TaxRates
    usage: Any


_details = msgspec.json.Decoder(InvoiceDetails)
_line_details = msgspec.json.Decoder(InvoiceLineDetails)

_by_id = RowById(sa.select(invoices), invoices)
_lines_of = (
    sa.select(invoice_lines)
    .where(invoice_lines.c.invoice_id.in_(sa.bindparam("invoices", expanding=True)))
    .order_by(invoice_lines.c.invoice_id, invoice_lines.c.position)
)


def get_invoice(connection: sa.Connection, account: AccountId, invoice_id: str, *, lock: bool = False) -> Invoice:
    """The invoice with its lines. Raises NotFound. With `lock`, other transactions cannot change it until this ends."""
    row = _by_id.find(connection, account, invoice_id, lock=lock)
    if row is None:
        raise _unknown(invoice_id)
    return with_lines(connection, [row])[0]


def get_invoices(
    connection: sa.Connection, account: AccountId, invoice_ids: Sequence[str], *, lock: bool = False
) -> list[Invoice]:
    """Invoices in the order of the ids. Locks are always taken in one order, so none deadlock. Raises NotFound."""
    these = sa.select(invoices).where(invoices.c.id.in_(invoice_ids), invoices.c.account_id == account)
    these = these.order_by(invoices.c.id)
    rows = {row.id: row for row in connection.execute(these.with_for_update() if lock else these)}
    for invoice_id in invoice_ids:
        if invoice_id not in rows:
            raise _unknown(invoice_id)
    return with_lines(connection, [rows[invoice_id] for invoice_id in invoice_ids])


def with_lines(connection: sa.Connection, rows: Sequence[Any]) -> list[Invoice]:
    """The invoices of these rows, in this order; one query reads all their lines."""
    lines: dict[str, list[InvoiceLine]] = {row.id: [] for row in rows}
    for line in connection.execute(_lines_of, {"invoices": list(lines)}):
        lines[line.invoice_id].append(_to_line(line))
    return [_to_invoice(row, tuple(lines[row.id])) for row in rows]


def save_changed_columns(connection: sa.Connection, before: Invoice, after: Invoice) -> None:
    """Writes the columns that differ: a final invoice allows no others."""
    old = invoice_values(before)
    changed = {name: value for name, value in invoice_values(after).items() if value != old[name]}
    if changed:
        connection.execute(sa.update(invoices).where(invoices.c.id == before.id).values(changed))


def without_lines(invoice: Invoice) -> Invoice:
    """The invoice as the audit log stores it: lines have entries of their own."""
    return msgspec.structs.replace(invoice, lines=())


def invoice_values(invoice: Invoice) -> dict[str, Any]:
    return {
        **{name: getattr(invoice, name) for name in _COLUMNS},
        "account_id": invoice.account,
        "status": invoice.status.value,
        "collection_method": invoice.collection_method.value,
        "details": _text(invoice, InvoiceDetails),
    }


def line_values(invoice_id: str, line: InvoiceLine) -> dict[str, Any]:
    same = {name: getattr(line, name) for name in _LINE_COLUMNS}
    return {**same, "invoice_id": invoice_id, "details": _text(line, InvoiceLineDetails)}


def _unknown(invoice_id: str) -> NotFound:
    return NotFound(f"there is no invoice {invoice_id!r} in this account")


def _text(record: msgspec.Struct, kind: type[msgspec.Struct]) -> str:
    details = kind(**{name: getattr(record, name) for name in kind.__struct_fields__})
    return msgspec.json.encode(details).decode()


def _to_invoice(row: Any, lines: tuple[InvoiceLine, ...]) -> Invoice:
    columns = {name: getattr(row, name) for name in _COLUMNS}
    details = msgspec.structs.asdict(_details.decode(row.details))
    status, method = InvoiceStatus(row.status), CollectionMethod(row.collection_method)
    fields = {**columns, **details, "status": status, "collection_method": method}
    return Invoice(account=AccountId(row.account_id), lines=lines, **fields)


def _to_line(row: Any) -> InvoiceLine:
    columns = {name: getattr(row, name) for name in _LINE_COLUMNS}
    return InvoiceLine(**columns, **msgspec.structs.asdict(_line_details.decode(row.details)))
