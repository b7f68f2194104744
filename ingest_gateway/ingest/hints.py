"""What is known of a group's keys before it is stored: from the recent keys, then from those already counted."""

import asyncio

import numpy as np

from ingest_gateway.ingest.event_group import EventGroup, Numbers
from ingest_gateway.ingest.recent_keys import Mask, RecentKeys
from ingest_gateway.ports import KeyHints
from schemas.errors import StoreFailed
from schemas.hashing import BodyHashes, as_digests


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
                bodies = await self._known.bodies(keys, group.arrival)
        except (StoreFailed, TimeoutError):
            return []
        if not bodies:
            return []
        found = zip(rows.tolist(), as_digests(keys), strict=True)
        return [(row, bodies[digest]) for row, digest in found if digest in bodies]
