"""Pages of a listing, newest first: ids sort by time of making, so what is added meanwhile moves nothing."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from schemas.listing import Page


def newest_first(
    connection: sa.Connection,
    rows: sa.Select[Any],
    key: sa.ColumnElement[str],
    paging: tuple[int, str | None],
    to_item: Callable[[Any], Any],
) -> Page:
    """`paging` is how many, and after which: the id of the last item of the page before."""
    limit, cursor = paging
    if cursor is not None:
        rows = rows.where(key < cursor)
    found = connection.execute(rows.order_by(key.desc()).limit(limit + 1)).all()
    items = tuple(to_item(row) for row in found[:limit])
    return Page(items=items, next_cursor=items[-1].id if len(found) > limit else None)
