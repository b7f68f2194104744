"""Numbers without gaps: a transaction locks the counter, and a rollback gives its numbers back."""

from typing import Literal

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from rating.ledger.invoice_tables import invoice_sequences
from rating.ledger.unit_of_work import UnitOfWork

Kind = Literal["invoice", "credit_note"]
"""What is numbered: each account has one sequence per kind."""


class NumberSequence:
    """The numbers of one sequence, within the transaction that locked it."""

    def __init__(self, kind: Kind, last: int) -> None:
        self._kind = kind
        self._last = last

    def next(self, prefix: str) -> str:
        """The next number with its prefix: `INV-0001`."""
        self._last += 1
        return f"{prefix}{self._last:04}"

    def save(self, work: UnitOfWork) -> None:
        """Stores the last number taken; the commit makes it final."""
        work.connection.execute(sa.update(invoice_sequences).where(_this(work, self._kind)).values(last=self._last))


def lock_sequence(work: UnitOfWork, kind: Kind) -> NumberSequence:
    """The sequence, locked until the transaction ends.

    Every transaction locks the sequence before the rows to be numbered, so that transactions never deadlock.
    """
    last = sa.select(invoice_sequences.c.last).where(_this(work, kind)).with_for_update()
    found = work.connection.scalar(last)
    if found is None:
        insert = sqlite_insert if work.connection.dialect.name == "sqlite" else postgresql_insert
        first = {"account_id": work.account, "kind": kind, "last": 0}
        work.connection.execute(insert(invoice_sequences).values(first).on_conflict_do_nothing())
        found = work.connection.execute(last).scalar_one()
    return NumberSequence(kind, found)


def _this(work: UnitOfWork, kind: Kind) -> sa.ColumnElement[bool]:
    return (invoice_sequences.c.account_id == work.account) & (invoice_sequences.c.kind == kind)
