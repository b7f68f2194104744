"""What the gateway knows of counted keys: a filter first, and the store only for what that may know."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from schemas.errors import StoreFailed
from schemas.flush import FLUSH_NUMBER_BOUND, SeenRows
from schemas.hashing import BodyHashes, KeyHashes, as_digests, partition_of


class KeyFilter(Protocol):
    """Keys that are durable: may say yes wrongly, never no."""

    def may_contain(self, keys: KeyHashes) -> npt.NDArray[np.bool_]: ...

    def add(self, keys: KeyHashes, arrival: int) -> None: ...


class SeenKeyLookup(Protocol):
    """The truth about a partition's keys."""

    async def find(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows: ...


class NoKeyHints:
    """For a gateway that has only its own recent keys to go by."""

    async def bodies(self, keys: KeyHashes, now: int) -> Mapping[bytes, int]:  # noqa: ARG002 - the port's signature
        """None."""
        return {}

    def remember(self, keys: KeyHashes, bodies: BodyHashes, arrival: int) -> None:
        """Its recent keys do that."""


class FilteredKeyHints:
    """A hint: where the store does not answer, nothing is known."""

    def __init__(self, key_filter: KeyFilter, seen: SeenKeyLookup, partitions: int, window: int) -> None:
        self._filter = key_filter
        self._seen = seen
        self._partitions = partitions
        self._window = window

    async def bodies(self, keys: KeyHashes, now: int) -> Mapping[bytes, int]:
        """Of the keys that were counted within the window, the hash of their body."""
        suspects = keys[self._filter.may_contain(keys)]
        partition = partition_of(suspects, self._partitions)
        known: dict[bytes, int] = {}
        for number in np.unique(partition).tolist():
            known |= await self._look_up(number, as_digests(suspects[partition == number]), now)
        return known

    def remember(self, keys: KeyHashes, bodies: BodyHashes, arrival: int) -> None:  # noqa: ARG002 - the port's signature
        """The filter from now on, and the store once they are counted."""
        self._filter.add(keys, arrival)

    async def _look_up(self, partition: int, suspects: Sequence[bytes], now: int) -> Mapping[bytes, int]:
        try:
            rows = await self._seen.find(partition, FLUSH_NUMBER_BOUND, suspects)
        except StoreFailed:
            return {}
        found = zip(rows.key_hashes, rows.body_hashes, rows.arrivals, strict=True)
        return {key: body for key, body, arrival in found if now - arrival <= self._window}
