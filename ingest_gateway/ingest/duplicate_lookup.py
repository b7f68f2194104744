"""Looks up which keys of a group are known already: in the recent keys, then in the key filter and the store."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ingest_gateway.ingest.event_group import EventGroup, Numbers
from ingest_gateway.ingest.recent_keys import RecentKeys
from ingest_gateway.ports import KeyHints
from schemas.arrays import Mask
from schemas.errors import StoreFailed
from schemas.flush import FLUSH_NUMBER_BOUND, SeenRows
from schemas.hashing import BodyHashes, KeyHashes, as_digests, partition_of


class KeyFilter(Protocol):
    """Keys that are durable: may say yes wrongly, never no."""

    def may_contain(self, keys: KeyHashes) -> npt.NDArray[np.bool_]: ...

    def add(self, keys: KeyHashes, arrival: int) -> None: ...


class SeenKeyLookup(Protocol):
    """The truth about a partition's keys."""

    async def find(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows: ...


class NoKeyHints:
    """For a gateway that has only its own recent keys to go by."""

    async def body_hashes(self, keys: KeyHashes, now: int) -> Mapping[bytes, int]:  # noqa: ARG002 - the port's signature
        """None."""
        return {}

    def remember(self, keys: KeyHashes, bodies: BodyHashes, arrival: int) -> None:
        """Its recent keys do that."""


class FilteredKeyHints:
    """A hint: where the store does not answer, nothing is known."""

    def __init__(self, key_filter: KeyFilter, seen: SeenKeyLookup, partitions: int, window: int) -> None:
        self._filter = key_filter
        self._seen = seen
        self._partitions = partitions
        self._window = window

    async def body_hashes(self, keys: KeyHashes, now: int) -> Mapping[bytes, int]:
        """Of the keys that were counted within the window, the hash of their body."""
        suspects = keys[self._filter.may_contain(keys)]
        partition = partition_of(suspects, self._partitions)
        known: dict[bytes, int] = {}
        for number in np.unique(partition).tolist():
            known |= await self._look_up(number, as_digests(suspects[partition == number]), now)
        return known

    def remember(self, keys: KeyHashes, bodies: BodyHashes, arrival: int) -> None:  # noqa: ARG002 - the port's signature
        """The filter from now on, and the store once they are counted."""
        self._filter.add(keys, arrival)

    async def _look_up(self, partition: int, suspects: Sequence[bytes], now: int) -> Mapping[bytes, int]:
        try:
            rows = await self._seen.find(partition, FLUSH_NUMBER_BOUND, suspects)
        except StoreFailed:
            return {}
        found = zip(rows.key_hashes, rows.body_hashes, rows.arrivals, strict=True)
        return {key: body for key, body, arrival in found if now - arrival <= self._window}


class DuplicateLookup:
    """Honest replies, best effort: whatever slips through here is dropped by the processor."""

    def __init__(self, recent: RecentKeys, known: KeyHints, timeout_seconds: float) -> None:
        self._recent = recent
        self._known = known
        self._timeout_seconds = timeout_seconds

    async def find(self, group: EventGroup, rows: Numbers) -> tuple[Mask, BodyHashes]:
        """For every row of the group (only `rows` are looked up): is its key known, and with which body."""
        found = np.zeros(len(group), np.bool_)
        bodies = np.zeros(len(group), np.uint64)
        found[rows], bodies[rows] = self._recent.find(group.keys[rows], group.arrival)
        for row, body in await self._look_up_known(group, rows[~found[rows]]):
            found[row], bodies[row] = True, body
        return found, bodies

    def remember(self, group: EventGroup, rows: Numbers) -> None:
        """These rows are durable now."""
        keys, bodies = group.keys[rows], group.bodies[rows]
        self._recent.remember(keys, bodies, group.arrival)
        self._known.remember(keys, bodies, group.arrival)

    async def _look_up_known(self, group: EventGroup, rows: Numbers) -> list[tuple[int, int]]:
        """Of the rows whose key others know, the hash of the body they know."""
        keys = group.keys[rows]
        try:
            async with asyncio.timeout(self._timeout_seconds):
                bodies = await self._known.body_hashes(keys, group.arrival)
        except (StoreFailed, TimeoutError):
            return []
        if not bodies:
            return []
        found = zip(rows.tolist(), as_digests(keys), strict=True)
        return [(row, bodies[digest]) for row, digest in found if digest in bodies]
