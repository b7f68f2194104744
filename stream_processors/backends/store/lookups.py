"""Reads of the usage store that need no policy: claims, seen keys, event history and receipts of backfills."""

from collections.abc import AsyncIterator, Sequence
from typing import Generic, TypeVar

import pyarrow as pa

from schemas.errors import ClaimMismatch
from schemas.flush import FlushProgress, SeenRows
from schemas.hashing import KeyHashes
from stream_processors.backends.store.engine import Engine

EngineT = TypeVar("EngineT", bound=Engine)


class Lookups(Generic[EngineT]):
    """`SeenKeys`, `EventHistory`, `StoreCheck`, and the reading half of `Claims` and `BackfillTables`."""

    def __init__(self, engine: EngineT) -> None:
        self._engine = engine

    async def progress(self, partition: int) -> FlushProgress | None:
        return _single_claim(partition, await self._engine.highest(partition))

    async def read_back(self, partition: int, number: int) -> Sequence[FlushProgress]:
        return await self._engine.claims_from(partition, number)

    async def count(self, partition: int, below: int) -> int:
        return await self._engine.count(partition, below)

    def all_hashes(self, partition: int, below: int) -> AsyncIterator[KeyHashes]:
        return self._engine.all_hashes(partition, below)

    async def find(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        return await self._engine.find(partition, below, key_hashes)

    async def find_events(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        return await self._engine.find_events(partition, below, key_hashes)

    async def activation(self, partition: int, version: int) -> int | None:
        return await self._engine.activation(partition, version)

    def read_events(self, partition: int, first_number: int, last_number: int) -> AsyncIterator[pa.Table]:
        return self._engine.read_events(partition, first_number, last_number)

    async def damage(self, partition: int) -> Sequence[str]:
        return await self._engine.damage(partition)

    async def receipts(self, prefix: str) -> frozenset[str]:
        return await self._engine.receipts(prefix)


def _single_claim(partition: int, found: Sequence[FlushProgress]) -> FlushProgress | None:
    """The one claim of a flush. Raises ClaimMismatch for two different ones, which the protocol rules out."""
    if len(found) > 1:
        raise ClaimMismatch(
            f"partition {partition}: flush {found[0].claim.number} has {len(found)} different claims: "
            f"{', '.join(str(progress.claim) for progress in found)}. Stop all workers of this partition and compare "
            "the `flushes` table with the log before starting again."
        )
    return found[0] if found else None
