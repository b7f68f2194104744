"""Which worker has which partition, as the workers themselves say."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from tallyhouse.local.service import http_get

_OWNED = re.compile(r'^tallyhouse_partition_owned\{partition="(\d+)"\} 1\.0$', re.MULTILINE)

PartitionOwners = Mapping[str, AbstractSet[int]]
"""Worker → its partitions; none for one that does not answer."""


async def partition_owners(workers: Mapping[str, str]) -> PartitionOwners:
    """By the workers' names; their addresses are asked all at once."""
    told = await asyncio.gather(*(asyncio.to_thread(http_get, f"{url}/metrics") for url in workers.values()))
    return {
        name: {int(found) for found in _OWNED.findall(text or "")} for name, text in zip(workers, told, strict=True)
    }


def is_shared(owners: PartitionOwners, partitions: int, among: Sequence[str]) -> bool:
    """Each partition has one worker, each of these workers has some, and nobody else has any."""
    had = sorted(number for numbers in owners.values() for number in numbers)
    return had == list(range(partitions)) and all(bool(owners[name]) == (name in among) for name in owners)
