"""Settling an invoice: it is paid, voided, or marked uncollectible."""

from typing import Any

import sqlalchemy as sa
from msgspec.structs import asdict, replace

from rating.core.invoice_lifecycle import InvoiceTransition, next_status
from rating.ledger.database import Database
from rating.ledger.invoice_rows import get_invoice, save_changed_columns, without_lines
from rating.ledger.invoice_tables import payments
from rating.ledger.unit_of_work import UnitOfWork
from schemas.errors import Conflict, Invalid
from schemas.ids import AccountId
from schemas.invoice import Invoice, InvoiceStatus
from schemas.payment import NewPayment, Payment, PaymentMethod, PaymentResult


def pay_invoice(work: UnitOfWork, invoice_id: str, new: NewPayment) -> PaymentResult:
    """Records a payment; one of the whole due amount pays the invoice. Raises NotFound, or Conflict for more."""
    before = get_invoice(work.connection, work.account, invoice_id, lock=True)
    settled = next_status(before.status, InvoiceTransition.PAY, invoice_id)
    amount = before.due if new.amount is None else new.amount
    if amount > before.due:
        raise Conflict(
            f"amount_cents: {amount} is more than the {before.due} that are due on invoice {invoice_id}",
            code="OVERPAYMENT",
            field="amount_cents",
        )
    payment = _record(work, invoice_id, amount, new)
    is_full = amount == before.due
    paid = replace(
        before,
        status=settled if is_full else next_status(before.status, InvoiceTransition.PAY_PART, invoice_id),
        paid=before.paid + amount,
        paid_at=payment.paid_at if is_full else None,
    )
    return PaymentResult(invoice=save_invoice(work, before, paid, "invoice.pay"), payment=payment)


def void_invoice(work: UnitOfWork, invoice_id: str) -> Invoice:
    """Raises NotFound, or Conflict if the invoice has payments or credits: those need a credit note instead."""
    before = get_invoice(work.connection, work.account, invoice_id, lock=True)
    bills_period = before.status is InvoiceStatus.DRAFT and before.subscription_id is not None
    status = next_status(
        before.status, InvoiceTransition.VOID_PERIOD if bills_period else InvoiceTransition.VOID, invoice_id
    )
    if before.paid or before.credited:
        raise Conflict(
            f"invoice {invoice_id} is {before.status.value} with {before.paid} minor units paid and {before.credited} "
            "credited, which voiding would leave without an invoice; credit what is left of it instead",
            code="INVOICE_HAS_PAYMENTS",
        )
    return save_invoice(work, before, replace(before, status=status, closed_at=work.now), "invoice.void")


def mark_invoice_uncollectible(work: UnitOfWork, invoice_id: str) -> Invoice:
    """Raises NotFound, or Conflict if the status forbids it."""
    before = get_invoice(work.connection, work.account, invoice_id, lock=True)
    status = next_status(before.status, InvoiceTransition.MARK_UNCOLLECTIBLE, invoice_id)
    return save_invoice(work, before, replace(before, status=status, closed_at=work.now), "invoice.mark_uncollectible")


def save_invoice(work: UnitOfWork, before: Invoice, changed: Invoice, action: str) -> Invoice:
    """Writes the changed invoice and its audit entry."""
    changed = replace(changed, updated_at=max(work.now, before.updated_at))
    save_changed_columns(work.connection, before, changed)
    work.audit(action, before.id, without_lines(before), without_lines(changed))
    return changed


async def list_payments(database: Database, account: AccountId, invoice_id: str) -> tuple[Payment, ...]:
    """In the order in which they were paid. Raises NotFound if the invoice does not exist."""

    def read(connection: sa.Connection) -> tuple[Payment, ...]:
        get_invoice(connection, account, invoice_id)
        rows = (
            sa.select(payments).where(payments.c.invoice_id == invoice_id).order_by(payments.c.paid_at, payments.c.id)
        )
        return tuple(_to_payment(row) for row in connection.execute(rows))

    return await database.read(read)


def _record(work: UnitOfWork, invoice_id: str, amount: int, new: NewPayment) -> Payment:
    if new.paid_at is not None and new.paid_at > work.now:
        raise Invalid("paid_at: a payment is recorded once it is there, not before", field="paid_at")
    payment = Payment(
        id=work.new_id(),
        account=work.account,
        invoice_id=invoice_id,
        amount=amount,
        method=PaymentMethod(new.method),
        reference=new.reference,
        paid_at=work.now if new.paid_at is None else new.paid_at,
        created_at=work.now,
    )
    row = asdict(payment)
    row |= {"account_id": row.pop("account"), "method": payment.method.value}
    work.connection.execute(sa.insert(payments).values(row))
    work.audit("payment.create", payment.id, after=payment)
    return payment


def _to_payment(row: Any) -> Payment:
    same = ("id", "invoice_id", "amount", "reference", "paid_at", "created_at")
    fields = {name: getattr(row, name) for name in same}
    return Payment(account=AccountId(row.account_id), method=PaymentMethod(row.method), **fields)
