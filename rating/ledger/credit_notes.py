"""Credit notes in the ledger: in a number sequence of their own, immutable, together never more than their invoice."""

from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace

from rating.core.credit_note import credit_note_amounts
from rating.core.invoice_lifecycle import InvoiceTransition, next_status
from rating.ledger.database import Database
from rating.ledger.invoice_rows import get_invoice
from rating.ledger.invoice_tables import credit_notes
from rating.ledger.numbering import lock_sequence
from rating.ledger.payments import save_invoice
from rating.ledger.unit_of_work import Transactions, UnitOfWork
from schemas.command import Applied, Command
from schemas.credit_note import CreditNote, CreditNoteLine, CreditNoteResult, NewCreditNote
from schemas.ids import AccountId

PREFIX = "CN-"

_COLUMNS = ("id", "invoice_id", "number", "reason", "amount", "tax", "total", "created_at")


class CreditNoteDetails(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that no query filters by, stored as JSON."""

    lines: tuple[CreditNoteLine, ...]
    metadata: dict[str, str]


class SqlCreditNotes:
    """The credit notes of all accounts."""

    def __init__(self, database: Database, transactions: Transactions) -> None:
        self._database = database
        self._transactions = transactions

    async def create(self, command: Command, invoice_id: str, new: NewCreditNote) -> Applied[CreditNoteResult]:
        """Raises NotFound, Invalid, or Conflict if less is left than is requested or the status forbids it."""
        return await self._transactions.change(
            command, CreditNoteResult, lambda work: credit_invoice(work, invoice_id, new)
        )

    async def of_invoice(self, account: AccountId, invoice_id: str) -> tuple[CreditNote, ...]:
        """Oldest first. Raises NotFound if the invoice does not exist."""

        def read(connection: sa.Connection) -> tuple[CreditNote, ...]:
            get_invoice(connection, account, invoice_id)
            return _list_credit_notes(connection, invoice_id)

        return await self._database.read(read)


def credit_invoice(work: UnitOfWork, invoice_id: str, new: NewCreditNote) -> CreditNoteResult:
    """A credit note that leaves nothing due settles the invoice, since no payment will follow."""
    numbers = lock_sequence(work, "credit_note")
    before = get_invoice(work.connection, work.account, invoice_id, lock=True)
    status = next_status(before.status, InvoiceTransition.CREDIT, invoice_id)
    made = credit_note_amounts(before, _list_credit_notes(work.connection, invoice_id), new)
    note = CreditNote(
        id=work.new_id(),
        account=work.account,
        invoice_id=invoice_id,
        number=numbers.next(PREFIX),
        reason=new.reason,
        amount=made.amount,
        tax=made.tax,
        total=made.total,
        lines=made.lines,
        metadata=new.metadata,
        created_at=work.now,
    )
    numbers.save(work)
    work.connection.execute(sa.insert(credit_notes).values(_values(note)))
    work.audit("credit_note.create", note.id, after=note)
    credited = replace(before, status=status, credited=before.credited + note.total)
    if before.due and not credited.due:
        credited = replace(credited, status=next_status(status, InvoiceTransition.PAY, invoice_id), paid_at=work.now)
    return CreditNoteResult(invoice=save_invoice(work, before, credited, "invoice.credit"), credit_note=note)


def _list_credit_notes(connection: sa.Connection, invoice_id: str) -> tuple[CreditNote, ...]:
    by_number = sa.func.length(credit_notes.c.number), credit_notes.c.number
    rows = sa.select(credit_notes).where(credit_notes.c.invoice_id == invoice_id).order_by(*by_number)
    return tuple(_to_note(row) for row in connection.execute(rows))


def _values(note: CreditNote) -> dict[str, Any]:
    details = CreditNoteDetails(lines=note.lines, metadata=note.metadata)
    same = {name: getattr(note, name) for name in _COLUMNS}
    return {**same, "account_id": note.account, "details": msgspec.json.encode(details).decode()}


def _to_note(row: Any) -> CreditNote:
    details = msgspec.json.decode(row.details, type=CreditNoteDetails)
    same = {name: getattr(row, name) for name in _COLUMNS}
    return CreditNote(account=AccountId(row.account_id), lines=details.lines, metadata=details.metadata, **same)
