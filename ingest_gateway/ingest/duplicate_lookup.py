"""Looks up which keys of a group are durable already: in the recent keys, then in the key filter and the store."""

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
from schemas.metrics import Counter, Metrics
from schemas.window import DEDUPE_WINDOW


class KeyFilter(Protocol):
    """Durable keys, with false positives and no false negatives."""

    def may_contain(self, keys: KeyHashes) -> npt.NDArray[np.bool_]: ...

    def add(self, keys: KeyHashes, arrival: int) -> None: ...


class SeenKeyLookup(Protocol):
    """The seen keys of a partition."""

    async def find(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        """Raises StoreFailed."""
        ...


class NoKeyHints:
    """For a gateway that has nothing but its own recent keys: no other key is ever known."""

    async def body_hashes(self, keys: KeyHashes, now: int) -> Mapping[bytes, int]:  # noqa: ARG002 - the port's signature
        return {}

    def remember(self, keys: KeyHashes, bodies: BodyHashes, arrival: int) -> None:
        """Does nothing."""


class FilteredKeyHints:
    """The seen keys in the usage store. A key filter keeps new keys, nearly all there are, from costing a query.

    A lookup that fails costs the keys of its own partition their hints, and `ingest_unchecked_total` counts them; the
    other partitions are still looked up.
    """

    def __init__(
        self,
        key_filter: KeyFilter,
        seen: SeenKeyLookup,
        partitions: int,
        metrics: Metrics,
        window: int = DEDUPE_WINDOW,
    ) -> None:
        self._filter = key_filter
        self._seen = seen
        self._partitions = partitions
        self._window = window
        self._metrics = metrics

    async def body_hashes(self, keys: KeyHashes, now: int) -> Mapping[bytes, int]:
        suspects = keys[self._filter.may_contain(keys)]
        partition = partition_of(suspects, self._partitions)
        known: dict[bytes, int] = {}
        for number in np.unique(partition).tolist():
            known |= await self._look_up(number, as_digests(suspects[partition == number]), now)
        return known

    def remember(self, keys: KeyHashes, bodies: BodyHashes, arrival: int) -> None:  # noqa: ARG002 - the port's signature
        """Adds the keys to the filter; a flush adds them to the store."""
        self._filter.add(keys, arrival)

    async def _look_up(self, partition: int, suspects: Sequence[bytes], now: int) -> Mapping[bytes, int]:
        try:
            rows = await self._seen.find(partition, FLUSH_NUMBER_BOUND, suspects)
        except StoreFailed:
            self._metrics.count(Counter.UNCHECKED, len(suspects), "failed")
            return {}
        found = zip(rows.key_hashes, rows.body_hashes, rows.arrivals, strict=True)
        return {key: body for key, body, arrival in found if now - arrival <= self._window}


class DuplicateLookup:
    """What a group's verdicts may claim: a key is a repeat only if it is known to be durable.

    A lookup that fails, or does not answer within the timeout, never delays or refuses events: the gateway treats their
    keys as new and answers `accepted`, which claims no more than is known. The processor then drops duplicates and
    keeps conflicts as rejects. `ingest_unchecked_total` counts such events.
    """

    def __init__(self, recent: RecentKeys, known: KeyHints, timeout_seconds: float, metrics: Metrics) -> None:
        self._recent = recent
        self._known = known
        self._timeout_seconds = timeout_seconds
        self._metrics = metrics

    async def find(self, group: EventGroup, rows: Numbers) -> tuple[Mask, BodyHashes]:
        """For every row of the group, whether its key is known to be durable, and with which body.

        Looks up only `rows`; the others are False.
        """
        found = np.zeros(len(group), np.bool_)
        bodies = np.zeros(len(group), np.uint64)
        found[rows], bodies[rows] = self._recent.find(group.keys[rows], group.arrival)
        for row, body in await self._look_up_known(group, rows[~found[rows]]):
            found[row], bodies[row] = True, body
        return found, bodies

    def remember(self, group: EventGroup, rows: Numbers) -> None:
        """Records that these rows are durable."""
        keys, bodies = group.keys[rows], group.bodies[rows]
        self._recent.remember(keys, bodies, group.arrival)
        self._known.remember(keys, bodies, group.arrival)

    async def _look_up_known(self, group: EventGroup, rows: Numbers) -> list[tuple[int, int]]:
        """The rows whose keys are known beyond the recent ones, each with the hash of the body known."""
        if not len(rows):
            return []
        keys = group.keys[rows]
        try:
            async with asyncio.timeout(self._timeout_seconds):
                bodies = await self._known.body_hashes(keys, group.arrival)
        except (StoreFailed, TimeoutError) as error:
            reason = "failed" if isinstance(error, StoreFailed) else "timeout"
            self._metrics.count(Counter.UNCHECKED, len(rows), reason)
            return []
        if not bodies:
            return []
        found = zip(rows.tolist(), as_digests(keys), strict=True)
        return [(row, bodies[digest]) for row, digest in found if digest in bodies]
