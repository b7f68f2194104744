"""The latest durable keys in bounded memory, and their warm-up from the log at start."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from schemas.arrays import Mask
from schemas.errors import Alarm, AwaitsDecision
from schemas.frame import Frame, decode
from schemas.hashing import BodyHashes, Halves, KeyHashes, as_halves

_NEVER = np.iinfo(np.int64).min // 2
_SPREAD = 4
"""Table slots per key: with a full ring the first table displaces one key in five, the second loses one in fifty."""


class RecentKeys:
    """Keys with their body's hash and arrival. Not thread-safe.

    May forget a key early; never reports one that was not remembered.
    """

    def __init__(self, capacity: int, window: int) -> None:
        """`capacity` is a power of two, at 64 bytes a key. A key is known for `window` microseconds at most."""
        self._capacity = capacity
        self._window = window
        self._next = 0
        self._high = np.zeros(capacity, np.uint64)
        self._low = np.zeros(capacity, np.uint64)
        self._bodies = np.zeros(capacity, np.uint64)
        self._arrivals = np.full(capacity, _NEVER, np.int64)
        self._tables = np.zeros((2, capacity * _SPREAD), np.int32)
        self._mask = np.uint64(capacity * _SPREAD - 1)

    def remember(self, keys: KeyHashes, bodies: BodyHashes, arrival: int) -> None:
        """Adds distinct keys that are durable; the oldest are overwritten."""
        keys, bodies = keys[-self._capacity :], bodies[-self._capacity :]
        places = (self._next + np.arange(len(keys))) % self._capacity
        self._next = (self._next + len(keys)) % self._capacity
        self._high[places], self._low[places] = keys[:, 0], keys[:, 1]
        self._bodies[places] = bodies
        self._arrivals[places] = arrival
        first, second = self._tables
        slots = self._first_slots(keys[:, 0])
        displaced = first[slots]
        first[slots] = places
        crowded = places[first[slots] != places]
        moved = np.concatenate((displaced, crowded))
        second[self._second_slots(self._low[moved])] = moved

    def find(self, keys: KeyHashes, now: int) -> tuple[Mask, BodyHashes]:
        """Which keys are remembered, and the hash of their body (undefined for keys that are not)."""
        found = np.zeros(len(keys), np.bool_)
        bodies = np.zeros(len(keys), np.uint64)
        high, low = keys[:, 0], keys[:, 1]
        for table, slots in zip(self._tables, (self._first_slots(high), self._second_slots(low)), strict=True):
            places = table[slots]
            rows = np.flatnonzero(self._low[places] == low)  # Few match, so the rest is cheap.
            places = places[rows]
            same = (self._high[places] == high[rows]) & (self._arrivals[places] >= now - self._window)
            found[rows[same]] = True
            bodies[rows[same]] = self._bodies[places[same]]
        return found, bodies

    def _first_slots(self, high: Halves) -> Halves:
        return high & self._mask

    def _second_slots(self, low: Halves) -> Halves:
        # Without the low bits, which choose the partition.
        return (low >> np.uint64(32)) & self._mask


_FRAMES_PER_READ = 64
_WARM_UP_BYTES = 32_000_000
"""The most that is read of each partition: seconds of traffic, in a fraction of a second."""


class RecentFrames(Protocol):
    """The log, for reading it from its end."""

    def end_offset(self, partition: int) -> int: ...

    async def first_offset(self, partition: int) -> int: ...

    async def read(self, partition: int, start: int, *, max_bytes: int, last: int | None = None) -> Sequence[Frame]: ...


async def warm_up(recent: RecentKeys, log: RecentFrames, partitions: int, most_bytes: int = _WARM_UP_BYTES) -> None:
    """Remembers the newest frames' keys, so that a retry after a restart is still a `duplicate` or a `conflict`."""
    for partition in range(partitions):
        for frame in await _newest(log, partition, most_bytes):
            _remember(recent, frame)


async def _newest(log: RecentFrames, partition: int, most_bytes: int) -> list[Frame]:
    """The last frames, oldest first, because the first event of a key counts."""
    first = await log.first_offset(partition)
    runs: list[Sequence[Frame]] = []
    size = 0
    for start, last in _backwards(first, log.end_offset(partition)):
        try:
            run = await log.read(partition, start, max_bytes=most_bytes, last=last)
        except AwaitsDecision:  # The processor reports it; here only `duplicate` verdicts are lost.
            continue
        runs.append(run)
        size += sum(len(frame.payload) for frame in run)
        if size >= most_bytes:
            break
    return [frame for run in reversed(runs) for frame in run]


def _backwards(first: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of the offset range, the last part first, as inclusive bounds."""
    for after in range(end, first, -_FRAMES_PER_READ):
        yield max(first, after - _FRAMES_PER_READ), after - 1


def _remember(recent: RecentKeys, frame: Frame) -> None:
    try:
        events = decode(frame.payload)
    except Alarm:  # The processor stops at this frame with an alarm; here only `duplicate` verdicts are lost.
        return
    keys = as_halves(b"".join(events.column("key_hash").to_pylist()))
    bodies = events.column("body_hash").to_numpy()
    known, _ = recent.find(keys, frame.arrival)
    fresh = np.flatnonzero(~known)
    recent.remember(keys[fresh], bodies[fresh], frame.arrival)
