"""Waits for the end of a partition to advance, from any event loop."""

import asyncio
import threading
from collections.abc import Mapping

_Waiter = tuple[int, asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class Tail:
    """End offsets that can be waited for from any event loop and advanced from any thread."""

    def __init__(self, partitions: int) -> None:
        self._ends = [0] * partitions
        self._waiters: list[list[_Waiter]] = [[] for _ in range(partitions)]
        self._lock = threading.Lock()

    def end(self, partition: int) -> int:
        """The next offset to be assigned."""
        return self._ends[partition]

    def advance(self, ends: Mapping[int, int]) -> None:
        """Sets the partitions' end offsets, and wakes the waiters they have passed."""
        for partition, end in ends.items():
            for _, loop, future in self._move(partition, end):
                _wake(loop, future)

    async def wait(self, partition: int, start: int, timeout: float) -> None:  # noqa: ASYNC109 (the port's word)
        """Returns when the partition's end is past `start`, at the latest after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        waiter: _Waiter = (start, loop, loop.create_future())
        with self._lock:
            if self._ends[partition] > start:
                return
            self._waiters[partition].append(waiter)
        try:
            await asyncio.wait([waiter[2]], timeout=timeout)
        finally:
            self._forget(partition, waiter)

    def _move(self, partition: int, end: int) -> list[_Waiter]:
        with self._lock:
            self._ends[partition] = end
            waiters = self._waiters[partition]
            self._waiters[partition] = [waiter for waiter in waiters if waiter[0] >= end]
            return [waiter for waiter in waiters if waiter[0] < end]

    def _forget(self, partition: int, waiter: _Waiter) -> None:
        with self._lock:
            if waiter in self._waiters[partition]:
                self._waiters[partition].remove(waiter)


def _wake(loop: asyncio.AbstractEventLoop, future: "asyncio.Future[None]") -> None:
    # A loop may close between the wait and the wake; its waiter ended with it.
    if not loop.is_closed():
        loop.call_soon_threadsafe(_resolve, future)


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
