"""The log in this process's memory: the guarantees of the durable logs, except that it ends with the process."""

import bisect
import itertools
import threading
from collections.abc import Sequence

from schemas.errors import Alarm
from schemas.frame import Frame, NewFrame
from stream_processors.backends.log.policy import LogPolicy, within_bytes
from stream_processors.backends.log.quota import Quota
from stream_processors.backends.log.tail import Tail


class MemoryFrameLog:
    """A log for tests, simulations and experiments.

    No method but `wait` yields to an event loop, so a hand-made scheduler can drive it.
    """

    def __init__(self, partitions: int, policy: LogPolicy | None = None) -> None:
        self._policy = policy or LogPolicy()
        self._frames: list[list[Frame]] = [[] for _ in range(partitions)]
        self._tail = Tail(partitions)
        self._quota = Quota(self._policy.held_bytes)
        self._lock = threading.Lock()

    @property
    def held_bytes(self) -> int:
        """Payload bytes in the log."""
        return self._quota.held

    async def append(self, frames: Sequence[NewFrame]) -> None:
        """Raises Overloaded when the log is full."""
        if not frames:
            return
        self._quota.reserve(sum(len(frame.payload) for frame in frames))
        with self._lock:
            ends: dict[int, int] = {}
            for frame in frames:
                offset = ends.get(frame.partition, self._tail.end(frame.partition))
                self._frames[frame.partition].append(
                    Frame(partition=frame.partition, offset=offset, arrival=frame.arrival, payload=frame.payload)
                )
                ends[frame.partition] = offset + 1
            self._tail.advance(ends)

    async def first_offset(self, partition: int) -> int:
        """The lowest offset still held; in an empty partition, the next offset."""
        with self._lock:
            held = self._frames[partition]
            return held[0].offset if held else self._tail.end(partition)

    async def read(self, partition: int, start: int, *, max_bytes: int, last: int | None = None) -> Sequence[Frame]:
        """Frames from `start` on: up to `last`, or as many as fit into `max_bytes`."""
        with self._lock:
            held = self._frames[partition]
            first = _index(held, start)
            if last is not None:
                return held[first : _index(held, last + 1)]
            return list(within_bytes(itertools.islice(held, first, None), max_bytes))

    async def acknowledge(self, partition: int, last: int) -> None:
        """Frames up to `last` are counted: delete them. Raises Alarm past the end of the log."""
        with self._lock:
            if last >= self._tail.end(partition):
                raise Alarm(f"partition {partition}: frame {last} is said to be counted, but was never appended")
            held = self._frames[partition]
            counted = _index(held, last - self._policy.retained_frames + 1)
            self._quota.release(sum(len(frame.payload) for frame in held[:counted]))
            del held[:counted]

    async def wait(self, partition: int, start: int, timeout: float) -> None:  # noqa: ASYNC109 (the port's word)
        """Returns when there is a frame at or after `start`, at the latest after `timeout` seconds."""
        await self._tail.wait(partition, start, timeout)

    def end_offset(self, partition: int) -> int:
        """The next offset to be assigned."""
        return self._tail.end(partition)

    async def oldest_arrival(self, partition: int, start: int) -> int | None:
        """Arrival of the first frame at or after `start`; None if there is none."""
        with self._lock:
            held = self._frames[partition]
            first = _index(held, start)
            return held[first].arrival if first < len(held) else None


def _index(held: Sequence[Frame], offset: int) -> int:
    """The index in `held` of the first frame at or after `offset`."""
    return bisect.bisect_left(held, offset, key=lambda frame: frame.offset)
