"""The latest keys made durable: a bounded memory, so that a quick retry is told `duplicate` before it is counted.

A ring keeps the newest keys in order of arrival. Two tables, each placing a key by other bits of its hash, say where
in the ring it is: the second takes what a later key displaces from the first, so few are ever lost. Forgetting is
allowed here: the processor decides. Remembering what is not durable is not: callers remember after the log's answer.
"""

import numpy as np
import numpy.typing as npt

from schemas.hashing import BodyHashes, KeyHashes

Mask = npt.NDArray[np.bool_]
Halves = npt.NDArray[np.uint64]

_NEVER = np.iinfo(np.int64).min // 2
_SPREAD = 4
"""Table entries per key: with a full ring the first table displaces one key in five, the second loses one in fifty."""


class RecentKeys:
    """Keys with their body's hash and arrival. One thread only."""

    def __init__(self, capacity: int, window: int) -> None:
        """`capacity` keys, a power of two, at 64 bytes each; none is known longer than `window` microseconds."""
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
        """Different keys that are durable now."""
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
        """Which of the keys are remembered, and the hash of their body there (elsewhere it means nothing)."""
        found = np.zeros(len(keys), np.bool_)
        bodies = np.zeros(len(keys), np.uint64)
        high, low = keys[:, 0], keys[:, 1]
        for table, slots in zip(self._tables, (self._first_slots(high), self._second_slots(low)), strict=True):
            places = table[slots]
            rows = np.flatnonzero(self._low[places] == low)  # Nearly none, so that what follows costs nothing.
            places = places[rows]
            same = (self._high[places] == high[rows]) & (self._arrivals[places] >= now - self._window)
            found[rows[same]] = True
            bodies[rows[same]] = self._bodies[places[same]]
        return found, bodies

    def _first_slots(self, high: Halves) -> Halves:
        return high & self._mask

    def _second_slots(self, low: Halves) -> Halves:
        """The low bits are left out: they are the partition's."""
        return (low >> np.uint64(32)) & self._mask
