"""Generates the posts of a run and adds them to the expected usage."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from tallyhouse.load.expected_usage import ExpectedUsage
from tallyhouse.load.workload import Workload

_SINGLES_AT_ONCE = 500


class Post(NamedTuple):
    body: bytes
    events: int


class PostGenerator:
    """Adds every post to the expected usage; so all of them must be delivered before the usage is compared."""

    def __init__(
        self,
        workload: Workload,
        expected_usage: ExpectedUsage,
        *,
        batch: int,
        now: Callable[[], int],
        events: int | None = None,
    ) -> None:
        self._workload = workload
        self._expected_usage = expected_usage
        self._batch = batch
        self._now = now
        self._left = events
        self._stopped = False

    def stop(self) -> None:
        """Ends the posts after the batch that is rendered already."""
        self._stopped = True

    def posts(self) -> Iterator[Post]:
        """One post for each batch; with a batch size of 1, each post is a single event."""
        while not self._stopped and (size := self._next_size()):
            batch = self._workload.batch(size, self._now())
            self._expected_usage.add(batch.fresh)
            if self._batch == 1:
                yield from (Post(body, 1) for body in batch.single_events())
            else:
                yield Post(batch.body(), len(batch))

    def _next_size(self) -> int:
        size = self._batch if self._batch > 1 else _SINGLES_AT_ONCE
        if self._left is not None:
            size = min(size, self._left)
            self._left -= size
        return size
