"""Pages of listings that are short enough to be read whole: the cursor is the key of the last item shown."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from schemas.errors import Invalid

Item = TypeVar("Item")


def cut(
    items: Sequence[Item], limit: int, cursor: str | None, key: Callable[[Item], str]
) -> tuple[Sequence[Item], str | None]:
    """The page after `cursor`, and the cursor of the one after it. Items are never taken away, so it stays good."""
    start = 0
    if cursor is not None:
        places = [place for place, item in enumerate(items) if key(item) == cursor]
        if not places:
            raise Invalid("cursor: not one of this listing's; take next_cursor from the page before", field="cursor")
        start = places[0] + 1
    shown = items[start : start + limit]
    return shown, key(shown[-1]) if start + limit < len(items) else None
