"""Several stores as one, each for whole partitions: one shard holds everything written for a partition.

Partition p belongs to shard p mod shards. Like the number of partitions, the number of shards is fixed for the life of
the data: with a different one, a partition's claims would be looked up on the wrong shard, and its whole log counted
again.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Protocol, TypeVar

import pyarrow as pa

from schemas.flush import ApplyOutcome, Claim, FlushProgress, FlushRows, SeenRows, Table
from schemas.hashing import KeyHashes
from schemas.tables import partition_of_backfill
from stream_processors.ports import BackfillTables, Claims, EventHistory, SeenKeys, SeenMonths, StoreCheck, Tables

_Shard = TypeVar("_Shard")


def shard_of(partition: int, shards: Sequence[_Shard]) -> _Shard:
    """The shard that holds the partition."""
    return shards[partition % len(shards)]


class ShardStore(Claims, Tables, SeenKeys, BackfillTables, EventHistory, StoreCheck, Protocol):
    """The ports that a flush and a backfill use of one store."""


class ShardedStore:
    """`Claims`, `Tables`, `SeenKeys`, `BackfillTables` and `EventHistory` over one store for each shard."""

    def __init__(self, shards: Sequence[ShardStore]) -> None:
        self._shards = shards

    def _shard(self, partition: int) -> ShardStore:
        return shard_of(partition, self._shards)

    async def progress(self, partition: int) -> FlushProgress | None:
        return await self._shard(partition).progress(partition)

    async def claim(self, claim: Claim) -> None:
        await self._shard(claim.partition).claim(claim)

    async def read_back(self, partition: int, number: int) -> Sequence[FlushProgress]:
        return await self._shard(partition).read_back(partition, number)

    async def finish(self, partition: int, number: int, rows: FlushRows) -> None:
        await self._shard(partition).finish(partition, number, rows)

    async def apply(
        self,
        table: Table,
        partition: int,
        number: int,
        rows: pa.Table,
        piece: int = 0,
        after: Collection[Table] = (),
    ) -> ApplyOutcome:
        return await self._shard(partition).apply(table, partition, number, rows, piece, after)

    async def apply_backfill(self, table: Table, receipt: str, rows: pa.Table, piece: int = 0) -> ApplyOutcome:
        return await self._shard(partition_of_backfill(receipt)).apply_backfill(table, receipt, rows, piece)

    async def damage(self, partition: int) -> Sequence[str]:
        return await self._shard(partition).damage(partition)

    async def receipts(self, prefix: str) -> frozenset[str]:
        found = await asyncio.gather(*(shard.receipts(prefix) for shard in self._shards))
        return frozenset(receipt for receipts in found for receipt in receipts)

    async def count(self, partition: int, below: int) -> int:
        return await self._shard(partition).count(partition, below)

    def all_hashes(self, partition: int, below: int) -> AsyncIterator[KeyHashes]:
        return self._shard(partition).all_hashes(partition, below)

    async def find(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        return await self._shard(partition).find(partition, below, key_hashes)

    async def find_events(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        return await self._shard(partition).find_events(partition, below, key_hashes)

    async def activation(self, partition: int, version: int) -> int | None:
        return await self._shard(partition).activation(partition, version)

    def read_events(self, partition: int, first_number: int, last_number: int) -> AsyncIterator[pa.Table]:
        return self._shard(partition).read_events(partition, first_number, last_number)


class ShardedSeenMonths:
    """`SeenMonths` over every shard."""

    def __init__(self, shards: Sequence[SeenMonths]) -> None:
        self._shards = shards

    async def seen_months(self) -> Sequence[int]:
        found = await asyncio.gather(*(shard.seen_months() for shard in self._shards))
        return sorted({month for months in found for month in months})

    async def last_arrival(self, partition: int) -> int | None:
        return await shard_of(partition, self._shards).last_arrival(partition)

    async def preserve_replay_keys(self, month: int) -> None:
        await asyncio.gather(*(shard.preserve_replay_keys(month) for shard in self._shards))

    async def drop_seen_month(self, month: int) -> None:
        await asyncio.gather(*(shard.drop_seen_month(month) for shard in self._shards))
