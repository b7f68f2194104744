"""What one worker does for the whole cluster: the backfills of new meters, and the expiry of seen keys.

Two workers may be at it at once, for as long as one of them has not noticed that it lost its partitions. A chunk of a
backfill is put into the store at most once by its receipt, and a month of seen keys can be dropped any number of times.
"""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from stream_processors.workers.backfill import BackfillDriver
from stream_processors.workers.expiry import ExpiryDriver

ELSEWHERE = "another worker's: whoever counts partition 0 does them"


class ClusterDuties:
    """Begun anew with each ownership: nothing is remembered of an earlier one."""

    def __init__(self, make_backfill: Callable[[], BackfillDriver], make_expiry: Callable[[], ExpiryDriver]) -> None:
        self._make_backfill = make_backfill
        self._make_expiry = make_expiry
        self._backfill: BackfillDriver | None = None

    @property
    def state(self) -> str:
        """The backfills', where they are ours."""
        backfill = self._backfill
        return backfill.state if backfill else ELSEWHERE

    def begin(self) -> Iterable[Coroutine[Any, Any, None]]:
        """To run until cancelled."""
        self._backfill = self._make_backfill()
        return [self._backfill.run(), self._make_expiry().run()]

    def end(self) -> None:
        """They are another worker's."""
        self._backfill = None
