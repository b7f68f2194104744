"""Reads of the usage store that need no policy: seen keys, event history, receipts and claims."""

from collections.abc import AsyncIterator, Sequence

import pyarrow as pa

from schemas.errors import ClaimMismatch
from schemas.flush import FlushProgress, SeenRows
from schemas.hashing import KeyHashes
from stream_processors.backends.store.engine import Engine


def single_claim(partition: int, found: Sequence[FlushProgress]) -> FlushProgress | None:
    """The one claim among those of one number; two different ones mean that something has gone badly wrong."""
    if len(found) > 1:
        raise ClaimMismatch(
            f"partition {partition}: flush {found[0].claim.number} has {len(found)} different claims: "
            f"{', '.join(str(progress.claim) for progress in found)}. Stop all workers of this partition and compare "
            "the `flushes` table with the log before starting again."
        )
    return found[0] if found else None


class Lookups:
    """`SeenKeys`, `EventHistory`, and the receipts of backfills."""

    def __init__(self, engine: Engine) -> None:
        self._lookups = engine

    async def count(self, partition: int, below: int) -> int:
        return await self._lookups.count(partition, below)

    def all_hashes(self, partition: int, below: int) -> AsyncIterator[KeyHashes]:
        return self._lookups.all_hashes(partition, below)

    async def find(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        return await self._lookups.find(partition, below, key_hashes)

    async def find_events(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        return await self._lookups.find_events(partition, below, key_hashes)

    async def activation(self, partition: int, version: int) -> int | None:
        return await self._lookups.activation(partition, version)

    def read_events(self, partition: int, first_number: int, last_number: int) -> AsyncIterator[pa.Table]:
        return self._lookups.read_events(partition, first_number, last_number)

    async def receipts(self, prefix: str) -> frozenset[str]:
        return await self._lookups.receipts(prefix)
