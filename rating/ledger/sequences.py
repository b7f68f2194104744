"""Numbers without gaps: a counter is locked by whoever takes the next, and given back when that comes to nothing."""

from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from rating.ledger.invoice_tables import invoice_sequences
from rating.ledger.work import Work


class Sequence(StrEnum):
    """What is numbered; each account has one of each."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


def hold(work: Work, sequence: Sequence) -> int:
    """The last number taken. Nobody else takes one until the transaction ends.

    Held before the rows it is needed for: whoever locks both does so in this order, and so none waits for another.
    """
    last = sa.select(invoice_sequences.c.last).where(_this(work, sequence)).with_for_update()
    found = work.connection.scalar(last)
    if found is None:
        insert = sqlite_insert if work.connection.dialect.name == "sqlite" else postgresql_insert
        first = {"account_id": work.account, "kind": sequence.value, "last": 0}
        work.connection.execute(insert(invoice_sequences).values(first).on_conflict_do_nothing())
        found = work.connection.scalar(last)
    return int(found or 0)


def take(work: Work, sequence: Sequence, last: int, prefix: str) -> str:
    """The number after the last one, which is held, as it is printed: `INV-0001`."""
    work.connection.execute(sa.update(invoice_sequences).where(_this(work, sequence)).values(last=last + 1))
    return f"{prefix}{last + 1:04}"


def _this(work: Work, sequence: Sequence) -> sa.ColumnElement[bool]:
    return (invoice_sequences.c.account_id == work.account) & (invoice_sequences.c.kind == sequence.value)
