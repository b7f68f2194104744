"""Access to rows that all aggregates share: one row by its id, a page of a listing, the fields that a change sets."""

from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa

from schemas.ids import AccountId
from schemas.listing import Page


class RowById:
    """Look-ups by id whose statements are built once: building one takes four times as long as executing it."""

    def __init__(self, rows: sa.Select[Any], table: sa.Table) -> None:
        """`rows` selects at most one row per row of the table."""
        self._unlocked = rows.where(table.c.id == sa.bindparam("this"), table.c.account_id == sa.bindparam("account"))
        self._locked = self._unlocked.with_for_update(of=table)

    def find(self, connection: sa.Connection, account: AccountId, this: str, *, lock: bool = False) -> Any:
        """None if the account has no such row. With `lock`, other transactions cannot change it until this ends."""
        statement = self._locked if lock else self._unlocked
        return connection.execute(statement, {"this": this, "account": account}).one_or_none()


def newest_first(
    connection: sa.Connection,
    rows: sa.Select[Any],
    key: sa.ColumnElement[str],
    paging: tuple[int, str | None],
    to_item: Callable[[Any], Any],
) -> Page:
    """One page. `paging` is the page size and the cursor, the id of the last item of the page before."""
    limit, cursor = paging
    if cursor is not None:
        rows = rows.where(key < cursor)
    found = connection.execute(rows.order_by(key.desc()).limit(limit + 1)).all()
    items = tuple(to_item(row) for row in found[:limit])
    return Page(items=items, next_cursor=items[-1].id if len(found) > limit else None)


def set_fields(changes: msgspec.Struct) -> dict[str, Any]:
    """The fields that the change sets, by name; None is a value."""
    fields = ((name, getattr(changes, name)) for name in changes.__struct_fields__)
    return {name: value for name, value in fields if value is not msgspec.UNSET}
