"""One change of the ledger: its transaction, its command, its time, and its entries in the audit log."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, Self

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace

from rating.ledger.database import Database
from rating.ledger.idempotency_keys import find_answer, reserve_key, store_answer
from rating.ledger.tables import audit_log
from schemas.command import Answer, Applied, Command
from schemas.ids import AccountId

# Numbers keep every digit: a replayed answer equals the first one.
_encoder = msgspec.json.Encoder(decimal_format="number")


class AuditedChange(NamedTuple):
    """One subject of an audited action, before and after it."""

    subject: str
    before: Any = None
    after: Any = None


class UnitOfWork(NamedTuple):
    """Everything done through it is committed together, or not at all."""

    connection: sa.Connection
    command: Command
    now: int
    new_id: Callable[[], str]

    @property
    def account(self) -> AccountId:
        return self.command.account

    def for_account(self, account: AccountId) -> Self:
        """The same unit of work, for another account of the company."""
        return self._replace(command=replace(self.command, account=account))

    def audit(self, action: str, subject: str, before: Any = None, after: Any = None) -> None:
        """Adds an entry to the audit log; records are stored as JSON."""
        self.audit_all(action, [AuditedChange(subject, before, after)])

    def audit_all(self, action: str, changes: Sequence[AuditedChange]) -> None:
        """Adds entries for many subjects of one action."""
        rows = [
            {
                "id": self.new_id(),
                "account_id": self.account,
                "at": self.now,
                "actor": self.command.actor,
                "request_id": self.command.request_id,
                "action": action,
                "subject": change.subject,
                "before": _text(change.before),
                "after": _text(change.after),
            }
            for change in changes
        ]
        if rows:
            self.connection.execute(sa.insert(audit_log), rows)


class Transactions:
    """Runs each change in its own transaction, and answers one repeated under its idempotency key as before."""

    def __init__(self, database: Database, clock: Callable[[], int], new_id: Callable[[], str]) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id

    async def change(
        self, command: Command, kind: type[Answer], change: Callable[[UnitOfWork], Answer]
    ) -> Applied[Answer]:
        """Applies the change. `kind` is the type of its result, for decoding a stored answer. Raises Conflict."""

        def run(connection: sa.Connection) -> Applied[Answer]:
            work = UnitOfWork(connection, command, self._clock(), self._new_id)
            if command.idempotency_key is None:
                return Applied(answer=change(work))
            before = reserve_key(connection, command.account, command.idempotency_key, work.now)
            if before is not None:
                return Applied(answer=_decode(before, kind), is_replay=True)
            answer = change(work)
            store_answer(connection, command.account, command.idempotency_key, _encoder.encode(answer).decode())
            return Applied(answer=answer)

        return await self._database.write(run)

    async def stored_answer(self, command: Command, kind: type[Answer]) -> Answer | None:
        """The answer stored under the command's idempotency key, if any. Raises Conflict for another request."""
        idempotency_key = command.idempotency_key
        if idempotency_key is None:
            return None
        before = await self._database.read(
            lambda connection: find_answer(connection, command.account, idempotency_key, self._clock())
        )
        return None if before is None else _decode(before, kind)


def _decode(text: str, kind: type[Answer]) -> Answer:
    return msgspec.json.Decoder(kind, float_hook=Decimal).decode(text)


def _text(record: Any) -> str | None:
    return None if record is None else msgspec.json.encode(record).decode()
