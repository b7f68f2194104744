"""Invoice runs in the ledger: the progress of each, visible to every process."""

from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa

from rating.ledger.database import Database
from rating.ledger.invoice_tables import invoice_runs
from rating.ledger.rows import newest_first
from rating.ledger.unit_of_work import Transactions, UnitOfWork
from schemas.command import Applied, Command
from schemas.errors import NotFound
from schemas.ids import AccountId
from schemas.invoice_run import InvoiceRunRecord, RunState, RunSummary
from schemas.listing import Page
from schemas.timestamps import MINUTE

SILENT_AFTER = MINUTE
_SILENT_ERROR = "the process that ran it has ended; what it recorded stays, and another run bills the rest"


class SqlInvoiceRuns:
    """The invoice runs of all accounts."""

    def __init__(self, database: Database, transactions: Transactions, clock: Callable[[], int]) -> None:
        self._database = database
        self._transactions = transactions
        self._clock = clock

    async def find_replay(self, command: Command) -> InvoiceRunRecord | None:
        """The run that the same request began before, if any. Raises Conflict for another request under its key."""
        return await self._transactions.stored_answer(command, InvoiceRunRecord)

    async def begin(self, command: Command, record: InvoiceRunRecord) -> Applied[InvoiceRunRecord]:
        """Stores a new run. Of concurrent requests under one key, the first one counts."""
        return await self._transactions.change(command, InvoiceRunRecord, lambda work: begin_run(work, record))

    async def put(self, record: InvoiceRunRecord) -> None:
        """Stores the run's progress."""
        updated = msgspec.structs.replace(record, updated_at=max(self._clock(), record.created_at))
        this = sa.update(invoice_runs).where(invoice_runs.c.id == record.id).values(_progress(updated))
        await self._database.write(lambda connection: connection.execute(this))

    async def get(self, account: AccountId, run_id: str) -> InvoiceRunRecord:
        """Raises NotFound."""
        this = _of(account).where(invoice_runs.c.id == run_id)
        row = await self._database.read(lambda connection: connection.execute(this).one_or_none())
        if row is None:
            raise NotFound(f"there is no invoice run {run_id!r} in this account")
        return self._as_of_now(row)

    async def list(self, account: AccountId, limit: int, cursor: str | None) -> Page:
        """Newest first."""
        rows, key = _of(account), invoice_runs.c.id
        return await self._database.read(lambda c: newest_first(c, rows, key, (limit, cursor), self._as_of_now))

    def _as_of_now(self, row: Any) -> InvoiceRunRecord:
        """The run as stored; failed after a minute without a report: a live run reports twice a second."""
        record = _to_record(row)
        if record.state is RunState.RUNNING and record.updated_at < self._clock() - SILENT_AFTER:
            return msgspec.structs.replace(record, state=RunState.FAILED, error=_SILENT_ERROR)
        return record


def begin_run(work: UnitOfWork, record: InvoiceRunRecord) -> InvoiceRunRecord:
    new = {"id": record.id, "account_id": record.account, "created_at": record.created_at}
    work.connection.execute(sa.insert(invoice_runs).values(new | _progress(record)))
    work.audit("invoice_run.begin", record.id, after=record)
    return record


def _of(account: AccountId) -> sa.Select[Any]:
    return sa.select(invoice_runs).where(invoice_runs.c.account_id == account)


def _progress(record: InvoiceRunRecord) -> dict[str, Any]:
    return {
        "state": record.state.value,
        "due": record.due,
        "summary": msgspec.json.encode(record.summary).decode(),
        "error": record.error,
        "updated_at": record.updated_at,
    }


def _to_record(row: Any) -> InvoiceRunRecord:
    return InvoiceRunRecord(
        id=row.id,
        account=AccountId(row.account_id),
        state=RunState(row.state),
        due=row.due,
        summary=msgspec.json.decode(row.summary, type=RunSummary),
        error=row.error,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
