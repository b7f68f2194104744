"""What the gateway knows of counted keys: the partition's filter first, and the store only for what it may know."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from schemas.errors import StoreFailed
from schemas.flush import SeenRows
from schemas.hashing import BodyHashes, KeyHashes, as_digests, partition_of

_EVERY_FLUSH = 2**62


class Filter(Protocol):
    """A partition's keys: may say yes wrongly, never no."""

    def may_contain(self, hashes: KeyHashes) -> npt.NDArray[np.bool_]: ...


class SeenKeys(Protocol):
    """The truth about a partition's keys."""

    async def find(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows: ...


class NoKeys:
    """For a gateway that has only its own recent keys to go by."""

    async def bodies(self, keys: KeyHashes, now: int) -> Mapping[bytes, int]:  # noqa: ARG002 - the port's signature
        """None."""
        return {}

    def remember(self, keys: KeyHashes, bodies: BodyHashes, arrival: int) -> None:
        """Its recent keys do that."""


class FilteredKeys:
    """A hint: where the store does not answer, nothing is known."""

    def __init__(self, filter_of: Callable[[int], Filter | None], seen: SeenKeys, partitions: int, window: int) -> None:
        self._filter_of = filter_of
        self._seen = seen
        self._partitions = partitions
        self._window = window

    async def bodies(self, keys: KeyHashes, now: int) -> Mapping[bytes, int]:
        """Of the keys that were counted within the window, the hash of their body."""
        partition = partition_of(keys, self._partitions)
        known: dict[bytes, int] = {}
        for number in range(self._partitions):
            known |= await self._counted(number, keys[partition == number], now)
        return known

    def remember(self, keys: KeyHashes, bodies: BodyHashes, arrival: int) -> None:
        """Once they are counted, the filter and the store know them."""

    async def _counted(self, partition: int, keys: KeyHashes, now: int) -> Mapping[bytes, int]:
        suspects = self._suspects(partition, keys)
        if not suspects:
            return {}
        try:
            rows = await self._seen.find(partition, _EVERY_FLUSH, suspects)
        except StoreFailed:
            return {}
        found = zip(rows.key_hashes, rows.body_hashes, rows.arrivals, strict=True)
        return {key: body for key, body, arrival in found if now - arrival <= self._window}

    def _suspects(self, partition: int, keys: KeyHashes) -> Sequence[bytes]:
        """All of them while the partition has no filter: retries are most likely just after a start."""
        key_filter = self._filter_of(partition)
        return as_digests(keys if key_filter is None else keys[key_filter.may_contain(keys)])
