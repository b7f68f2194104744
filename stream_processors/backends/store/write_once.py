"""Repeats an insert under fresh tokens until its rows are visible: what both policies of writing at most once share."""

from collections.abc import Awaitable, Callable
from typing import ClassVar

from schemas.errors import StoreFailed
from stream_processors.backends.store.lookups import EngineT, Lookups

ATTEMPTS = 20


class WriteOnceStore(Lookups[EngineT]):
    """The common half of `EmbeddedStore` and `GuardedStore`."""

    _REMEDY: ClassVar[str]
    """The question that ends the error message when the rows stay invisible."""

    async def _insert_until(
        self, applied: Callable[[], Awaitable[bool]], insert: Callable[[int], Awaitable[None]]
    ) -> None:
        """Insert under one fresh token after another until the rows are visible. Raises StoreFailed."""
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
