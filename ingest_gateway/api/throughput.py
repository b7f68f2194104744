"""Events per account in the last finished window and the current one."""

from collections.abc import Callable

import msgspec

from ingest_gateway.ingest.batch import BatchOutcome
from schemas.ids import AccountId
from schemas.timestamps import SECOND

WINDOW = 10 * SECOND


class EventCounts(msgspec.Struct, kw_only=True):
    """Events of one window by verdict."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0

    def add(self, outcome: BatchOutcome) -> None:
        self.accepted += outcome.accepted
        self.duplicates += outcome.duplicates
        self.rejected += len(outcome.rejections)


class Throughput:
    """Counts by account. Memory follows the accounts active in the last two windows."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._window = 0
        self._running: dict[AccountId, EventCounts] = {}
        self._finished: dict[AccountId, EventCounts] = {}

    def add(self, account: AccountId, outcome: BatchOutcome) -> None:
        self._rotate()
        tally = self._running.get(account)
        if tally is None:
            tally = self._running[account] = EventCounts()
        tally.add(outcome)

    def last_window(self, account: AccountId) -> EventCounts:
        """The counts of the last finished window."""
        self._rotate()
        return self._finished.get(account, EventCounts())

    def _rotate(self) -> None:
        window = self._clock() // WINDOW
        if window != self._window:
            self._finished = self._running if window == self._window + 1 else {}
            self._running = {}
            self._window = window
