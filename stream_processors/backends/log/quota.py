"""How many bytes a log holds, and the point at which it takes no more."""

import threading

from schemas.errors import Overloaded

_RETRY_AFTER = 5


class Quota:
    """Counts held bytes; used from many threads.

    Asking is refused only when the limit is reached already, so one append may go past it, and an append larger
    than the limit is not refused for ever.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        return self._held

    def reserve(self, size: int) -> None:
        """Raises Overloaded where the limit is reached."""
        with self._lock:
            if self._held >= self._limit:
                raise Overloaded(
                    f"the log holds {self._held:,} bytes that are not yet counted, its limit is {self._limit:,}: "
                    "wait until the processors have caught up",
                    retry_after=_RETRY_AFTER,
                )
            self._held += size

    def add_existing(self, size: int) -> None:
        """Bytes that were there before."""
        with self._lock:
            self._held += size

    def release(self, size: int) -> None:
        with self._lock:
            self._held -= size
