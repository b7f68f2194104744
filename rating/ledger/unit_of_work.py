"""One change of the ledger, as its functions see it: the transaction, who asks, when, and what is noted about it."""

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

# Numbers keep every digit: what is answered again is what was answered before.
_encoder = msgspec.json.Encoder(decimal_format="number")


class AuditedChange(NamedTuple):
    """What was done to one thing, as it is noted."""

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
        """The same work, as far as it concerns another account of the company."""
        return self._replace(command=replace(self.command, account=account))

    def audit(self, action: str, subject: str, before: Any = None, after: Any = None) -> None:
        """Put into the audit log what was done to what; records are kept as JSON."""
        self.audit_all(action, [AuditedChange(subject, before, after)])

    def audit_all(self, action: str, changes: Sequence[AuditedChange]) -> None:
        """The same of many at once."""
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
    """Runs changes, each in a transaction of its own; one that is repeated under its key is answered as before."""

    def __init__(self, database: Database, clock: Callable[[], int], new_id: Callable[[], str]) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id

    async def change(
        self, command: Command, kind: type[Answer], change: Callable[[UnitOfWork], Answer]
    ) -> Applied[Answer]:
        """`kind` is the type of what `change` returns: a repeated answer is read back as that."""

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
        """What a request of this act's key was answered before; None if it is the first one."""
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
