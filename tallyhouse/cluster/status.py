"""The status of a cluster, as every process can calculate it: flushes done in the store, compared with the log.

Which worker owns a partition, and why its flush fails, is known only to that worker: see its logs and metrics.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from schemas.flush import FlushProgress, PartitionStatus
from schemas.timestamps import SECOND
from stream_processors.ports import Claims, TailedLog
from stream_processors.workers.partition_driver import COUNTING, STOPPED, STUCK

STUCK_SECONDS = 60.0
"""From this lag on, a partition is reported as stuck."""

_BACKFILLS = "each meter reports its own: GET /v1/meters/{code}"


class ExternalLog(TailedLog, Protocol):
    """The log, whose end other processes move."""

    async def refresh_ends(self) -> None:
        """Reads the end offsets of all partitions again."""
        ...


class ClusterStatus:
    """The `ProcessingStatus` of the whole cluster, for a process that counts nothing itself."""

    def __init__(self, claims: Claims, log: ExternalLog, partitions: int, clock: Callable[[], int]) -> None:
        self._claims = claims
        self._log = log
        self._partitions = range(partitions)
        self._clock = clock

    async def partitions(self) -> Sequence[PartitionStatus]:
        # The start of the log is read before the store, and its end after it: frames that are counted or deleted in
        # between must look neither like a gap nor like a log that ends too early.
        held_from = await asyncio.gather(*map(self._log.first_offset, self._partitions))
        progress = await asyncio.gather(*map(self._claims.progress, self._partitions))
        await self._log.refresh_ends()
        return await asyncio.gather(*map(self._partition, self._partitions, progress, held_from))

    async def backfills(self) -> str:
        return _BACKFILLS

    async def _partition(self, partition: int, progress: FlushProgress | None, held_from: int) -> PartitionStatus:
        number, offset = next_flush(progress)
        end = self._log.end_offset(partition)
        oldest = await self._log.oldest_arrival(partition, offset) if offset < end else None
        lag_seconds = 0.0 if oldest is None else max(self._clock() - oldest, 0) / SECOND
        return PartitionStatus(
            partition=partition,
            flush=number - 1 if number else None,
            next_offset=offset,
            end_offset=end,
            lag_frames=max(end - offset, 0),
            lag_seconds=lag_seconds,
            state=_state(offset, held_from, end, lag_seconds),
        )


def next_flush(progress: FlushProgress | None) -> tuple[int, int]:
    """The number and the first offset of the first flush that is not known to be done."""
    if progress is None:
        return 0, 0
    claim = progress.claim
    return (claim.number + 1, claim.last + 1) if progress.done else (claim.number, claim.first)


def _state(offset: int, held_from: int, end: int, lag_seconds: float) -> str:
    """The state of a partition: a worker's alarms, or `stuck` for every other problem, seen as a growing lag."""
    if held_from > offset:
        return (
            f"{STOPPED}frames {offset} to {held_from - 1} were never counted and are no longer in the log: restore the "
            "log from a copy that has them"
        )
    if end < offset:
        return (
            f"{STOPPED}frames up to {offset - 1} are counted, but the log ends at {end - 1}: it is older than the "
            "usage store; restore the two together"
        )
    if lag_seconds > STUCK_SECONDS:
        return (
            f"{STUCK}its oldest frame has been waiting for {lag_seconds:.0f} s: no worker counts this partition, or "
            "too slowly, or its flush fails; the workers' logs and metrics say which"
        )
    return COUNTING
