"""How a cluster's workers are doing, told without asking any of them: by what is counted, and what waits in the log.

Which worker counts a partition and what its flush fails with, only that worker knows: its logs and metrics say so.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from schemas.flush import PartitionStatus, Progress
from schemas.timestamps import SECOND
from stream_processors.ports import Claims, FrameLog, LogTail
from stream_processors.workers.driver import COUNTING, STOPPED, STUCK

_DUTIES_PARTITION = 0


class EndsAskedLog(FrameLog, LogTail, Protocol):
    """The log itself, whose ends are those last heard of."""

    async def ask_ends(self) -> None:
        """Hear anew where all partitions end."""
        ...


class DerivedStatus:
    """For a process that counts nothing itself."""

    def __init__(
        self, log: EndsAskedLog, claims: Claims, partitions: int, clock: Callable[[], int], stuck_seconds: float
    ) -> None:
        self._log = log
        self._claims = claims
        self._numbers = range(partitions)
        self._clock = clock
        self._stuck_seconds = stuck_seconds

    async def partitions(self) -> Sequence[PartitionStatus]:
        """How far each partition is counted."""
        # The log after the store: what is counted in between must not look like a log that ends too early. And where
        # the log begins before the store: what is let go of in between must not look like a gap.
        held_from = await asyncio.gather(*(self._log.first_offset(number) for number in self._numbers))
        progress = await asyncio.gather(*(self._claims.progress(number) for number in self._numbers))
        await self._log.ask_ends()
        return await asyncio.gather(*map(self._status, self._numbers, progress, held_from))

    async def backfills(self) -> str:
        """Whoever counts the first partition does them."""
        return (await self.partitions())[_DUTIES_PARTITION].state

    async def _status(self, number: int, progress: Progress | None, held_from: int) -> PartitionStatus:
        flush, following = _counted(progress)
        end = self._log.end_offset(number)
        oldest = await self._log.oldest_arrival(number, following) if end > following else None
        lag_seconds = 0.0 if oldest is None else max(self._clock() - oldest, 0) / SECOND
        return PartitionStatus(
            partition=number,
            flush=flush,
            next_offset=following,
            end_offset=end,
            lag_frames=max(end - following, 0),
            lag_seconds=lag_seconds,
            state=self._state(following, held_from, end, lag_seconds),
        )

    def _state(self, following: int, held_from: int, end: int, lag_seconds: float) -> str:
        if held_from > following:
            return (
                f"{STOPPED}frames {following} to {held_from - 1} were never counted and are no longer in the log. "
                "Restore the log from a backup that has them."
            )
        if end < following:
            return (
                f"{STOPPED}frames up to {following - 1} are counted, but the log ends at {end - 1}. It is older than "
                "the usage store: restore the two together."
            )
        if lag_seconds > self._stuck_seconds:
            return (
                f"{STUCK}its oldest frame has been waiting for {lag_seconds:.0f} seconds. No worker counts this "
                "partition, or too slowly, or its flush fails: the workers' logs and metrics tell which."
            )
        return COUNTING


def _counted(progress: Progress | None) -> tuple[int | None, int]:
    """The last flush done, and the first offset after it."""
    if progress is None:
        return None, 0
    claim = progress.claim
    if progress.done:
        return claim.number, claim.last + 1
    return (claim.number - 1 if claim.number else None), claim.first
