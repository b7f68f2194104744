"""Customers' balances in the ledger: the sums of entries that are only ever added."""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from msgspec.structs import asdict

from rating.core.balance import BalanceKey
from rating.ledger.invoice_tables import balance_entries, payments
from rating.ledger.unit_of_work import AuditedChange, UnitOfWork
from schemas.customer import BalanceEntry
from schemas.ids import AccountId
from schemas.invoice import Invoice
from schemas.payment import Payment, PaymentMethod


def get_currency_balances(
    connection: sa.Connection, account: AccountId, customer_ids: Iterable[str]
) -> dict[BalanceKey, int]:
    """The balances of these customers, in each currency that they have entries in."""
    of = balance_entries.c
    sums = (
        sa.select(of.customer_id, of.currency, sa.func.sum(of.amount).label("sum"))
        .where(of.account_id == account, of.customer_id.in_(set(customer_ids)))
        .group_by(of.customer_id, of.currency)
    )
    return {(row.customer_id, row.currency): int(row.sum) for row in connection.execute(sums)}


def get_balance_change(connection: sa.Connection, invoice_id: str) -> int:
    """What an invoice added to its customer's balance; below zero, what it used of the balance."""
    amount = sa.select(balance_entries.c.amount).where(balance_entries.c.invoice_id == invoice_id)
    return connection.scalar(amount) or 0


def record_movements(work: UnitOfWork, invoices: Sequence[Invoice], amounts: Sequence[int]) -> None:
    """Records each invoice's entry in its customer's balance. An amount used is also a payment of the invoice."""
    entries = [_entry(work, invoice, amount) for invoice, amount in zip(invoices, amounts, strict=True) if amount]
    added = [entry for entry in entries if entry.amount > 0]
    used = [entry for entry in entries if entry.amount < 0]
    paid = [_payment(work, entry) for entry in used]
    if entries:
        work.connection.execute(sa.insert(balance_entries), [_values(entry) for entry in entries])
    if paid:
        rows = [{**_values(payment), "method": payment.method.value} for payment in paid]
        work.connection.execute(sa.insert(payments), rows)
    # The subject is the customer, not the entry: one query of the log shows how a balance came about.
    work.audit_all("balance.credit", [AuditedChange(entry.customer_id, after=entry) for entry in added])
    work.audit_all("balance.use", [AuditedChange(entry.customer_id, after=entry) for entry in used])
    work.audit_all("payment.create", [AuditedChange(payment.id, after=payment) for payment in paid])


def _entry(work: UnitOfWork, invoice: Invoice, amount: int) -> BalanceEntry:
    return BalanceEntry(
        id=work.new_id(),
        account=work.account,
        customer_id=invoice.customer_id,
        invoice_id=invoice.id,
        currency=invoice.currency,
        amount=amount,
        created_at=work.now,
    )


def _payment(work: UnitOfWork, used: BalanceEntry) -> Payment:
    return Payment(
        id=work.new_id(),
        account=work.account,
        invoice_id=used.invoice_id,
        amount=-used.amount,
        method=PaymentMethod.CUSTOMER_BALANCE,
        reference=None,
        paid_at=work.now,
        created_at=work.now,
    )


def _values(record: BalanceEntry | Payment) -> dict[str, Any]:
    row = asdict(record)
    row["account_id"] = row.pop("account")
    return row
