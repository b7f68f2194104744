"""Credit notes in the ledger: numbered by themselves, never changed, and never more in all than their invoice."""

from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace

from rating.core.credit_note import credit
from rating.core.invoice_lifecycle import Step, after
from rating.ledger.database import Database
from rating.ledger.invoice_rows import invoice_of
from rating.ledger.invoice_tables import credit_notes
from rating.ledger.numbering import hold
from rating.ledger.payments import kept
from rating.ledger.unit_of_work import Work, Works
from schemas.command import Act, Done
from schemas.credit_note import Credited, CreditNote, CreditNoteLine, NewCreditNote
from schemas.ids import AccountId

PREFIX = "CN-"

_SAME = ("id", "invoice_id", "number", "reason", "amount", "tax", "total", "created_at")


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """What nothing is asked by: kept as JSON text."""

    lines: tuple[CreditNoteLine, ...]
    metadata: dict[str, str]


class SqlCreditNotes:
    """The credit notes of all accounts, each seen by its own."""

    def __init__(self, database: Database, works: Works) -> None:
        self._database = database
        self._works = works

    async def create(self, act: Act, invoice_id: str, new: NewCreditNote) -> Done[Credited]:
        """Raises NotFound, Invalid, or Conflict where less is left than is asked for, or the status forbids it."""
        return await self._works.change(act, Credited, lambda work: credit_invoice(work, invoice_id, new))

    async def of_invoice(self, account: AccountId, invoice_id: str) -> tuple[CreditNote, ...]:
        """Oldest first. Raises NotFound for the invoice."""

        def read(connection: sa.Connection) -> tuple[CreditNote, ...]:
            invoice_of(connection, account, invoice_id)
            return _notes_of(connection, invoice_id)

        return await self._database.read(read)


def credit_invoice(work: Work, invoice_id: str, new: NewCreditNote) -> Credited:
    """What leaves nothing due settles the invoice: no payment will come any more."""
    numbers = hold(work, "credit_note")
    before = invoice_of(work.connection, work.account, invoice_id, lock=True)
    status = after(before.status, Step.CREDIT, invoice_id)
    made = credit(before, _notes_of(work.connection, invoice_id), new)
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
    numbers.keep(work)
    work.connection.execute(sa.insert(credit_notes).values(_values(note)))
    work.note("credit_note.create", note.id, after=note)
    credited = replace(before, status=status, credited=before.credited + note.total)
    if before.due and not credited.due:
        credited = replace(credited, status=after(status, Step.PAY, invoice_id), paid_at=work.now)
    return Credited(invoice=kept(work, before, credited, "invoice.credit"), credit_note=note)


def _notes_of(connection: sa.Connection, invoice_id: str) -> tuple[CreditNote, ...]:
    by_number = sa.func.length(credit_notes.c.number), credit_notes.c.number
    rows = sa.select(credit_notes).where(credit_notes.c.invoice_id == invoice_id).order_by(*by_number)
    return tuple(_to_note(row) for row in connection.execute(rows))


def _values(note: CreditNote) -> dict[str, Any]:
    details = Details(lines=note.lines, metadata=note.metadata)
    same = {name: getattr(note, name) for name in _SAME}
    return {**same, "account_id": note.account, "details": msgspec.json.encode(details).decode()}


def _to_note(row: Any) -> CreditNote:
    details = msgspec.json.decode(row.details, type=Details)
    same = {name: getattr(row, name) for name in _SAME}
    return CreditNote(account=AccountId(row.account_id), lines=details.lines, metadata=details.metadata, **same)
