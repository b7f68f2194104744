"""The frames of one partition that a stream has handed over and nobody has counted yet."""

import bisect
import itertools
import threading
from collections.abc import Callable, Sequence

import msgspec

from schemas.frame import Frame
from stream_processors.backends.log.read_limit import fitting
from stream_processors.backends.log.tail import Tail

_EVERYTHING = 2**63


class HandedFrame(msgspec.Struct, frozen=True, kw_only=True):
    """A frame, and how to tell the stream that it is counted."""

    frame: Frame
    acknowledge: Callable[[], object]

    @property
    def offset(self) -> int:
        return self.frame.offset


class HeldFrames:
    """From a partition's assignment to its revocation. Used from many threads.

    A stream may begin again at an earlier frame, and may leave frames out: offsets tell.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._frames: list[HandedFrame] = []
        self._bytes = 0
        self._counted = -1
        self._end = 0
        self._is_lost = False
        self._tail = Tail(1)
        self._lock = threading.Lock()

    @property
    def held_bytes(self) -> int:
        """Payload bytes of all frames."""
        return self._bytes

    @property
    def end(self) -> int:
        """After the last frame that is known to be in the log; 0 where none is."""
        return self._end

    @property
    def is_full(self) -> bool:
        return self._bytes >= self._room

    @property
    def has_room(self) -> bool:
        """Enough of it to go on filling, so that filling does not stop and start with every frame."""
        return self._bytes <= self._room // 2

    @property
    def is_lost(self) -> bool:
        """The partition was revoked: nothing of this counts any more."""
        return self._is_lost

    def add(self, handed: HandedFrame) -> None:
        """One that is counted already is acknowledged at once; one handed over again takes the place of the first."""
        with self._lock:
            is_counted = handed.offset <= self._counted
            if not is_counted and not self._is_lost:
                self._insert(handed)
        if is_counted:
            handed.acknowledge()
        self.note_end(handed.offset + 1)

    def note_end(self, end: int) -> None:
        """The log is known to reach this far."""
        with self._lock:
            self._end = max(self._end, end)
        self._wake()

    def count_to(self, last: int) -> None:
        """Everything up to `last` is counted: let go of it, and tell the stream in order."""
        with self._lock:
            self._counted = max(self._counted, last)
            through = self._index(last + 1)
            counted = self._frames[:through]
            del self._frames[:through]
            self._bytes -= sum(len(handed.frame.payload) for handed in counted)
        for handed in counted:
            handed.acknowledge()
        self._wake()

    def lose(self) -> None:
        """Let go of everything at once, acknowledging nothing, and wake whoever waits."""
        with self._lock:
            self._is_lost = True
            self._frames.clear()
            self._bytes = 0
        self._wake()

    def first_from(self, start: int) -> Frame | None:
        """The first frame at or after `start`."""
        with self._lock:
            place = self._index(start)
            return self._frames[place].frame if place < len(self._frames) else None

    def run_from(self, start: int, max_bytes: int) -> Sequence[Frame]:
        """The frames from exactly `start` on without a gap, the first one and as many as fit after it."""
        with self._lock:
            first = self._index(start)
            held = enumerate(itertools.islice(self._frames, first, None), start)
            unbroken = itertools.takewhile(lambda numbered: numbered[0] == numbered[1].offset, held)
            return list(fitting((handed.frame for _, handed in unbroken), max_bytes))

    def all_of(self, start: int, last: int) -> Sequence[Frame] | None:
        """The frames from `start` to `last`; None where not every one is held."""
        with self._lock:
            held = self._frames[self._index(start) : self._index(last + 1)]
        return [handed.frame for handed in held] if len(held) == last - start + 1 else None

    async def wait(self, start: int, timeout: float) -> None:  # noqa: ASYNC109 (the port's word)
        """Return when the log reaches `start`, when no more fits in here, or after `timeout` seconds."""
        await self._tail.wait(0, start, timeout)

    def _insert(self, handed: HandedFrame) -> None:
        place = self._index(handed.offset)
        is_there = place < len(self._frames) and self._frames[place].offset == handed.offset
        if is_there:
            self._frames[place] = handed
        else:
            self._frames.insert(place, handed)
            self._bytes += len(handed.frame.payload)

    def _index(self, offset: int) -> int:
        return bisect.bisect_left(self._frames, offset, key=lambda handed: handed.offset)

    def _wake(self) -> None:
        """Nobody is kept waiting for what does not fit, or for what is lost."""
        self._tail.advance({0: _EVERYTHING if self.is_full or self._is_lost else self._end})
