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
from schemas.timestamps import SECOND

SILENT_AFTER = 10 * SECOND
"""A live run reports twice a second, and a busy ledger holds a report up for a few seconds."""

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
        return await self._transactions.change(
            command, InvoiceRunRecord, lambda work: begin_run(work, record, self._clock)
        )

    async def put(self, record: InvoiceRunRecord) -> None:
        """Stores the run's progress."""
        this = sa.update(invoice_runs).where(invoice_runs.c.id == record.id)
        await self._database.write(
            lambda connection: connection.execute(this.values(_progress(_updated(record, connection, self._clock))))
        )

    async def get(self, account: AccountId, run_id: str) -> InvoiceRunRecord:
        """Raises NotFound."""
        this = _of(account).where(invoice_runs.c.id == run_id)

        def read(connection: sa.Connection) -> InvoiceRunRecord | None:
            row = connection.execute(this).one_or_none()
            return None if row is None else _as_of(row, _now(connection, self._clock))

        record = await self._database.read(read)
        if record is None:
            raise NotFound(f"there is no invoice run {run_id!r} in this account")
        return record

    async def list(self, account: AccountId, limit: int, cursor: str | None) -> Page:
        """Newest first."""
        rows, key = _of(account), invoice_runs.c.id

        def read(connection: sa.Connection) -> Page:
            now = _now(connection, self._clock)
            return newest_first(connection, rows, key, (limit, cursor), lambda row: _as_of(row, now))

        return await self._database.read(read)


_POSTGRESQL_NOW = sa.text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)")


def _now(connection: sa.Connection, clock: Callable[[], int]) -> int:
    """The clock that all processes share: PostgreSQL's own. All users of a SQLite file run on one machine."""
    if connection.dialect.name == "postgresql":
        return int(connection.execute(_POSTGRESQL_NOW).scalar_one())
    return clock()


def _updated(record: InvoiceRunRecord, connection: sa.Connection, clock: Callable[[], int]) -> InvoiceRunRecord:
    return msgspec.structs.replace(record, updated_at=max(_now(connection, clock), record.created_at))


def _as_of(row: Any, now: int) -> InvoiceRunRecord:
    """The run as stored; failed when its process has been silent for `SILENT_AFTER`."""
    record = _to_record(row)
    if record.state is RunState.RUNNING and record.updated_at < now - SILENT_AFTER:
        return msgspec.structs.replace(record, state=RunState.FAILED, error=_SILENT_ERROR)
    return record


def begin_run(work: UnitOfWork, record: InvoiceRunRecord, clock: Callable[[], int]) -> InvoiceRunRecord:
    record = _updated(record, work.connection, clock)
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
