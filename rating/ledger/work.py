"""One change of the ledger, as its functions see it: the transaction, who asks, when, and what is noted about it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from rating.ledger.customer_tables import audit_log
from rating.ledger.database import Database
from rating.ledger.once import claim, keep
from schemas.act import Act, Answer, Done
from schemas.ids import AccountId


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
                return Done(answer=msgspec.json.decode(before, type=kind), is_replay=True)
            answer = change(work)
            keep(connection, act.account, act.once, msgspec.json.encode(answer).decode())
            return Done(answer=answer)

        return await self._database.write(run)


def _text(record: Any) -> str | None:
    return None if record is None else msgspec.json.encode(record).decode()
