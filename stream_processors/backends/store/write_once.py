"""Writes at most once: the deduplication tokens of inserts, and the retry of an insert until its rows are visible.

Tokens are deterministic, so that rivals and redos of one flush use the same ones. A higher attempt is a fresh token,
for when the store kept the earlier token without its rows.
"""

from collections.abc import Awaitable, Callable
from typing import ClassVar

from schemas.errors import StoreFailed
from schemas.flush import Table
from stream_processors.backends.store.lookups import EngineT, Lookups

ATTEMPTS = 20


class WriteOnceStore(Lookups[EngineT]):
    """The common half of `EmbeddedStore` and `GuardedStore`."""

    _REMEDY: ClassVar[str]
    """The question that ends the error message when the rows stay invisible."""

    async def _insert_until(
        self, applied: Callable[[], Awaitable[bool]], insert: Callable[[int], Awaitable[None]]
    ) -> None:
        """Inserts under one fresh token after another until the rows are visible. Raises StoreFailed."""
        for attempt in range(ATTEMPTS):
            await insert(attempt)
            if await applied() or await self._appears_late(applied):
                return
        raise StoreFailed(
            f"{ATTEMPTS} inserts were answered, but their rows are not in the usage store. {self._REMEDY}"
        )

    async def _appears_late(self, applied: Callable[[], Awaitable[bool]]) -> bool:
        """Whether another insert, which was still running, has written the rows. By default none can be running."""
        del applied
        return False


def claim_token(partition: int, number: int, attempt: int) -> str:
    return f"{partition}/{number}/claim/{attempt}"


def done_token(partition: int, number: int, attempt: int) -> str:
    return f"{partition}/{number}/done/{attempt}"


def rows_token(table: Table, partition: int, number: int, piece: int, attempt: int) -> str:
    return f"{partition}/{number}/{table.value}{_piece(piece)}/{attempt}"


def backfill_token(table: Table, receipt: str, piece: int, attempt: int) -> str:
    return f"{receipt}/{table.value}{_piece(piece)}/{attempt}"


def _piece(piece: int) -> str:
    """The number alone decides, never the rows: rivals with other limits make other pieces of one number."""
    return f".{piece}" if piece else ""
