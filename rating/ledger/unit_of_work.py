"""One change of the ledger, as its functions see it: the transaction, who asks, when, and what is noted about it."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, Self

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace

from rating.ledger.customer_tables import audit_log
from rating.ledger.database import Database
from rating.ledger.idempotency_keys import claim, keep, recall
from schemas.command import Act, Answer, Done
from schemas.ids import AccountId

# Numbers keep every digit: what is answered again is what was answered before.
_encoder = msgspec.json.Encoder(decimal_format="number")


class Change(NamedTuple):
    """What was done to one thing, as it is noted."""

    subject: str
    before: Any = None
    after: Any = None


class Work(NamedTuple):
    """Everything done through it is committed together, or not at all."""

    connection: sa.Connection
    act: Act
    now: int
    new_id: Callable[[], str]

    @property
    def account(self) -> AccountId:
        return self.act.account

    def on(self, account: AccountId) -> Self:
        """The same work, as far as it concerns another account of the company."""
        return self._replace(act=replace(self.act, account=account))

    def note(self, action: str, subject: str, before: Any = None, after: Any = None) -> None:
        """Put into the audit log what was done to what; records are kept as JSON."""
        self.note_all(action, [Change(subject, before, after)])

    def note_all(self, action: str, changes: Sequence[Change]) -> None:
        """The same of many at once."""
        rows = [
            {
                "id": self.new_id(),
                "account_id": self.account,
                "at": self.now,
                "actor": self.act.actor,
                "request_id": self.act.request_id,
                "action": action,
                "subject": change.subject,
                "before": _text(change.before),
                "after": _text(change.after),
            }
            for change in changes
        ]
        if rows:
            self.connection.execute(sa.insert(audit_log), rows)


class Works:
    """Runs changes, each in a transaction of its own; one that is repeated under its key is answered as before."""

    def __init__(self, database: Database, clock: Callable[[], int], new_id: Callable[[], str]) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id

    async def change(self, act: Act, kind: type[Answer], change: Callable[[Work], Answer]) -> Done[Answer]:
        """`kind` is the type of what `change` returns: a repeated answer is read back as that."""

        def run(connection: sa.Connection) -> Done[Answer]:
            work = Work(connection, act, self._clock(), self._new_id)
            if act.once is None:
                return Done(answer=change(work))
            before = claim(connection, act.account, act.once, work.now)
            if before is not None:
                return Done(answer=_read(before, kind), is_replay=True)
            answer = change(work)
            keep(connection, act.account, act.once, _encoder.encode(answer).decode())
            return Done(answer=answer)

        return await self._database.write(run)

    async def answered(self, act: Act, kind: type[Answer]) -> Answer | None:
        """What a request of this act's key was answered before; None if it is the first one."""
        once = act.once
        if once is None:
            return None
        before = await self._database.read(lambda connection: recall(connection, act.account, once, self._clock()))
        return None if before is None else _read(before, kind)


def _read(text: str, kind: type[Answer]) -> Answer:
    return msgspec.json.Decoder(kind, float_hook=Decimal).decode(text)


def _text(record: Any) -> str | None:
    return None if record is None else msgspec.json.encode(record).decode()
