"""Finds which rejects were replayed, by their replay key among the seen keys."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from schemas.flush import SeenRows
from schemas.hashing import as_halves, key_hash, partition_of
from schemas.ids import AccountId
from schemas.tables import replay_key

ANY = 2**63 - 1
"""Above every flush number."""


class KeyLookup(Protocol):
    """The part of `SeenKeys` that finds keys."""

    async def find(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        """The rows of `seen` with these keys, from flushes numbered below `below`."""
        ...


class ReplayLookup(msgspec.Struct, frozen=True):
    """Looks up replay keys; `partitions` is the log's number of partitions."""

    seen: KeyLookup
    partitions: int

    async def arrivals(
        self, account: AccountId, rejects: Sequence[str], below: Callable[[int], int] = lambda _: ANY
    ) -> Mapping[str, int]:
        """When each reject was replayed, for those replayed in flushes numbered below `below(partition)`."""
        digests = {key_hash(account, replay_key(reject)): reject for reject in rejects}
        owners: dict[int, list[bytes]] = {}
        if digests:
            halves = as_halves(b"".join(digests))
            for digest, partition in zip(digests, partition_of(halves, self.partitions).tolist(), strict=True):
                owners.setdefault(partition, []).append(digest)
        found: dict[str, int] = {}
        for partition, own in sorted(owners.items()):
            rows = await self.seen.find(partition, below(partition), own)
            found |= {digests[bytes(d)]: int(at) for d, at in zip(rows.key_hashes, rows.arrivals, strict=True)}
        return found
