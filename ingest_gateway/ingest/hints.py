"""What is known of a group's keys before it is stored: from the recent keys, then from those already counted."""

import asyncio

import numpy as np

from ingest_gateway.ingest.group import Group, Numbers
from ingest_gateway.ingest.recent import BodyHashes, Mask, RecentKeys
from ingest_gateway.ports import KnownKeys
from schemas.errors import StoreFailed
from schemas.hashing import as_digests, partition_of


class Hints:
    """Honest replies, best effort: whatever slips through here is dropped by the processor."""

    def __init__(self, recent: RecentKeys, known: KnownKeys, partitions: int, patience_seconds: float) -> None:
        self._recent = recent
        self._known = known
        self._partitions = partitions
        self._patience_seconds = patience_seconds

    async def find(self, group: Group, rows: Numbers) -> tuple[Mask, BodyHashes]:
        """For every row of the group (only `rows` are looked up): is its key known, and with which body."""
        found = np.zeros(len(group), np.bool_)
        bodies = np.zeros(len(group), np.uint64)
        found[rows], bodies[rows] = self._recent.find(group.keys[rows], group.arrival)
        for row, body in await self._counted(group, rows[~found[rows]]):
            found[row], bodies[row] = True, body
        return found, bodies

    def remember(self, group: Group, rows: Numbers) -> None:
        """These rows are durable now."""
        self._recent.remember(group.keys[rows], group.bodies[rows], group.arrival)

    async def _counted(self, group: Group, rows: Numbers) -> list[tuple[int, int]]:
        """Of the rows whose key was counted before, the hash of the body counted."""
        partition = partition_of(group.keys[rows], self._partitions)
        parts = [rows[partition == number] for number in range(self._partitions)]
        try:
            async with asyncio.timeout(self._patience_seconds):
                answers = [await self._ask(number, group, part) for number, part in enumerate(parts) if len(part)]
        except (StoreFailed, TimeoutError):
            return []
        return [pair for answer in answers for pair in answer]

    async def _ask(self, partition: int, group: Group, rows: Numbers) -> list[tuple[int, int]]:
        keys = group.keys[rows]
        bodies = await self._known.bodies(partition, keys, group.arrival)
        if not bodies:
            return []
        found = zip(rows.tolist(), as_digests(keys), strict=True)
        return [(row, bodies[digest]) for row, digest in found if digest in bodies]
