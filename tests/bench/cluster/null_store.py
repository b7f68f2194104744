"""A store that keeps claims and receipts, and only counts the rows."""

from collections.abc import AsyncIterator, Collection, Sequence

import numpy as np
import pyarrow as pa

from schemas.flush import ApplyOutcome, ApplyResult, Claim, Extent, FlushProgress, FlushRows, SeenRows, Table
from schemas.hashing import KeyHashes


class NullStore:
    """`Claims`, `Tables` and `SeenKeys` for events whose keys are all different: it never finds a key."""

    def __init__(self) -> None:
        self.rows = dict.fromkeys(Table, 0)
        self._claims: dict[int, list[Claim]] = {}
        self._done: set[tuple[int, int]] = set()
        self._applied: set[tuple[Table, int, int]] = set()

    async def progress(self, partition: int) -> FlushProgress | None:
        claims = self._claims.get(partition)
        return self._progress_of(claims[-1]) if claims else None

    async def claim(self, claim: Claim) -> None:
        claims = self._claims.setdefault(claim.partition, [])
        if len(claims) <= claim.number:
            claims.append(claim)

    async def read_back(self, partition: int, number: int) -> Sequence[FlushProgress]:
        return [self._progress_of(claim) for claim in self._claims[partition][number:]]

    async def finish(self, partition: int, number: int, rows: FlushRows) -> None:
        self._done.add((partition, number))

    async def apply(
        self,
        table: Table,
        partition: int,
        number: int,
        rows: pa.Table,
        piece: int = 0,
        after: Collection[Table] = (),
    ) -> ApplyOutcome:
        assert piece == 0
        receipt = (table, partition, number)
        whole = Extent(pieces=1, whole=True)
        if receipt in self._applied:
            return ApplyOutcome(ApplyResult.ALREADY_THERE, whole)
        self._applied.add(receipt)
        self.rows[table] += rows.num_rows
        return ApplyOutcome(ApplyResult.WRITTEN, whole)

    async def count(self, partition: int, below: int) -> int:
        return 0

    async def all_hashes(self, partition: int, below: int) -> AsyncIterator[KeyHashes]:
        yield np.empty((0, 2), dtype=np.uint64)

    async def find(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        return SeenRows([], [], [])

    async def find_events(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        return SeenRows([], [], [])

    def _progress_of(self, claim: Claim) -> FlushProgress:
        return FlushProgress(claim=claim, done=(claim.partition, claim.number) in self._done)
