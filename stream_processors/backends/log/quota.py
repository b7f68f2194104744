"""Refuses appends once the log holds as many bytes as it may."""

import threading

from schemas.errors import Overloaded

_RETRY_AFTER = 5


class Quota:
    """Counts held bytes. Thread-safe.

    A reservation is refused only when the limit is already reached. So one append may exceed it, and an append larger
    than the limit is not refused permanently.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        return self._held

    def reserve(self, size: int) -> None:
        """Raises Overloaded when the limit is reached."""
        with self._lock:
            if self._held >= self._limit:
                raise Overloaded(
                    f"the log holds {self._held:,} bytes that are not yet counted, its limit is {self._limit:,}: "
                    "wait until the processors have caught up",
                    retry_after=_RETRY_AFTER,
                )
            self._held += size

    def add_existing(self, size: int) -> None:
        """Counts bytes that the log held when it was opened."""
        with self._lock:
            self._held += size

    def release(self, size: int) -> None:
        with self._lock:
            self._held -= size
