"""Buffers the frames of one partition that a stream has delivered and that are not yet counted."""

import bisect
import itertools
import threading
from collections.abc import Callable, Sequence

import msgspec

from schemas.frame import Frame
from stream_processors.backends.log.policy import within_bytes
from stream_processors.backends.log.tail import Tail

_EVERYTHING = 2**63


class DeliveredFrame(msgspec.Struct, frozen=True, kw_only=True):
    """A frame, and the call that acknowledges it to the stream."""

    frame: Frame
    acknowledge: Callable[[], object]

    @property
    def offset(self) -> int:
        return self.frame.offset


class FrameBuffer:
    """Lives from a partition's assignment to its revocation. Thread-safe.

    A stream may start again at an earlier frame and may leave frames out: frames are ordered by their offsets.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._frames: list[DeliveredFrame] = []
        self._gaps: list[tuple[int, Callable[[], object]]] = []
        self._bytes = 0
        self._counted = -1
        self._end = 0
        self._is_discarded = False
        self._tail = Tail(1)
        self._lock = threading.Lock()

    @property
    def held_bytes(self) -> int:
        """Payload bytes of all buffered frames."""
        return self._bytes

    @property
    def end(self) -> int:
        """The offset after the last frame known to be in the log; 0 if none is known."""
        return self._end

    @property
    def is_full(self) -> bool:
        return self._bytes >= self._room

    @property
    def has_room(self) -> bool:
        """True when half of the buffer is free, so that the stream does not pause and resume with every frame."""
        return self._bytes <= self._room // 2

    @property
    def is_discarded(self) -> bool:
        """True once the partition was revoked."""
        return self._is_discarded

    def add(self, delivered: DeliveredFrame) -> None:
        """Buffers the frame in place of an earlier delivery; if it is counted already, acknowledges it at once."""
        with self._lock:
            is_counted = delivered.offset <= self._counted
            if not is_counted and not self._is_discarded:
                self._insert(delivered)
        if is_counted:
            delivered.acknowledge()
        self.record_end(delivered.offset + 1)

    def add_gap(self, offset: int, acknowledge: Callable[[], object]) -> None:
        """Takes note of a record that is no frame: it is acknowledged with the frames behind it."""
        with self._lock:
            is_counted = offset <= self._counted
            if not is_counted and not self._is_discarded:
                self._gaps.append((offset, acknowledge))
        if is_counted:
            acknowledge()

    def record_end(self, end: int) -> None:
        """Raises the known end of the log to `end`."""
        with self._lock:
            self._end = max(self._end, end)
        self._wake()

    def acknowledge_to(self, last: int) -> None:
        """Frames up to `last` are counted: drop them, and acknowledge them to the stream in order."""
        with self._lock:
            self._counted = max(self._counted, last)
            through = self._index(last + 1)
            counted = self._frames[:through]
            del self._frames[:through]
            self._bytes -= sum(len(delivered.frame.payload) for delivered in counted)
            passed = [acknowledge for offset, acknowledge in self._gaps if offset <= last]
            self._gaps = [gap for gap in self._gaps if gap[0] > last]
        for delivered in counted:
            delivered.acknowledge()
        for acknowledge in passed:
            acknowledge()
        self._wake()

    def discard(self) -> None:
        """Drops every frame without acknowledging it, and wakes all waiters."""
        with self._lock:
            self._is_discarded = True
            self._frames.clear()
            self._gaps.clear()
            self._bytes = 0
        self._wake()

    def first_from(self, start: int) -> Frame | None:
        with self._lock:
            place = self._index(start)
            return self._frames[place].frame if place < len(self._frames) else None

    def contiguous_from(self, start: int, max_bytes: int) -> Sequence[Frame]:
        """An unbroken run of frames from exactly `start` on: the first, and as many more as fit into `max_bytes`."""
        with self._lock:
            first = self._index(start)
            held = enumerate(itertools.islice(self._frames, first, None), start)
            unbroken = itertools.takewhile(lambda numbered: numbered[0] == numbered[1].offset, held)
            return list(within_bytes((delivered.frame for _, delivered in unbroken), max_bytes))

    def complete_range(self, start: int, last: int) -> Sequence[Frame] | None:
        """The frames from `start` to `last`; None unless every one is buffered."""
        with self._lock:
            held = self._frames[self._index(start) : self._index(last + 1)]
        return [delivered.frame for delivered in held] if len(held) == last - start + 1 else None

    async def wait(self, start: int, timeout: float) -> None:  # noqa: ASYNC109 (the port's word)
        """Returns when the log extends past `start`, when the buffer is full, or after `timeout` seconds."""
        await self._tail.wait(0, start, timeout)

    def _insert(self, delivered: DeliveredFrame) -> None:
        place = self._index(delivered.offset)
        is_repeated = place < len(self._frames) and self._frames[place].offset == delivered.offset
        if is_repeated:
            self._frames[place] = delivered
        else:
            self._frames.insert(place, delivered)
            self._bytes += len(delivered.frame.payload)

    def _index(self, offset: int) -> int:
        return bisect.bisect_left(self._frames, offset, key=lambda delivered: delivered.offset)

    def _wake(self) -> None:
        # A full or discarded buffer receives no further frame, so every waiter is woken.
        self._tail.advance({0: _EVERYTHING if self.is_full or self._is_discarded else self._end})
