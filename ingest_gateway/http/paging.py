"""Pages of listings, and paging through a short listing in memory, where the cursor is the last item's key."""

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from schemas.errors import Invalid
from schemas.field_types import Id

LIMIT = 50
LARGEST_LIMIT = 1000

Item = TypeVar("Item")

Limit = Annotated[int, Meta(ge=1, le=LARGEST_LIMIT, description="Items per page, at most.")]
Cursor = Annotated[Id, Meta(description="`next_cursor` of the previous page.")]


class Paging(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a listing."""

    limit: Limit = LIMIT
    cursor: Cursor | None = None


def paginate(
    items: Sequence[Item], limit: int, cursor: str | None, key: Callable[[Item], str]
) -> tuple[Sequence[Item], str | None]:
    """The page after `cursor`, and the cursor of the next page. Items are never removed, so a cursor stays valid.

    Raises Invalid for an unknown cursor.
    """
    start = 0
    if cursor is not None:
        places = [place for place, item in enumerate(items) if key(item) == cursor]
        if not places:
            raise Invalid("cursor: not one of this listing's; take next_cursor from the page before", field="cursor")
        start = places[0] + 1
    shown = items[start : start + limit]
    return shown, key(shown[-1]) if start + limit < len(items) else None
