"""Holds log and usage store together: the store records the log's chain, and a log with another history is refused."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from schemas.errors import LogGap, StoreDamaged, StoreFailed
from schemas.flush import FlushProgress
from schemas.logger import Logger
from stream_processors.backends.log.sqlite.chain import REMEDY
from stream_processors.backends.sql.log_positions import LogPosition

RECORD_SECONDS = 5.0
"""How often the store records up to where the log is counted. Only recorded frames are deleted from the log."""


class ChainedLog(Protocol):
    """The log, as the worker reads it."""

    @property
    def counted(self) -> Mapping[int, int]: ...

    async def first_offset(self, partition: int) -> int: ...

    def end_offset(self, partition: int) -> int: ...

    async def chain_at(self, partition: int, offset: int) -> int | None: ...


class StoredProgress(Protocol):
    """The table of flushes."""

    async def progress(self, partition: int) -> FlushProgress | None: ...


class Positions(Protocol):
    """The store's record of the log."""

    async def read(self) -> Mapping[int, LogPosition]: ...

    async def record(self, positions: Mapping[int, LogPosition]) -> None: ...


class PositionRecorder:
    """Records in the store which frames of the log are counted, and checks at the start that it is the same log."""

    def __init__(self, log: ChainedLog, flushes: StoredProgress, positions: Positions, partitions: int, logger: Logger):
        self._log = log
        self._flushes = flushes
        self._positions = positions
        self._partitions = range(partitions)
        self._logger = logger
        self._recorded: dict[int, int] = {}

    @property
    def counted(self) -> Mapping[int, int]:
        """The last frame of each partition that is counted and recorded: frames up to it may be deleted."""
        return dict(self._recorded)

    async def check(self) -> None:
        """Raises LogGap if the log is older than the store, has another history, or lacks uncounted frames, and
        StoreDamaged if the store has recorded more as counted than its flushes have."""
        recorded = await self._positions.read()
        counted: dict[int, int] = {}
        problems = []
        for partition in self._partitions:
            first, end = counted_to(await self._flushes.progress(partition))
            held_from, log_end = await self._log.first_offset(partition), self._log.end_offset(partition)
            if partition in recorded and first <= recorded[partition].offset < log_end:
                raise StoreDamaged(_lost_flushes(partition, recorded[partition].offset, first))
            if problem := _problem(first, end, held_from, log_end) or await self._fork(
                recorded.get(partition), partition
            ):
                problems.append(f"partition {partition}: {problem}")
            elif first:
                counted[partition] = first - 1
        if problems:
            raise LogGap(f"the log and the usage store do not belong together: {'; '.join(problems)}. {REMEDY}")
        await self._record(counted)

    async def record(self) -> None:
        """Records what was counted since the last call. Raises StoreFailed."""
        await self._record(self._log.counted)

    async def _record(self, counted: Mapping[int, int]) -> None:
        found = {
            partition: LogPosition(offset, chain)
            for partition, offset in counted.items()
            if self._recorded.get(partition) != offset
            if (chain := await self._log.chain_at(partition, offset)) is not None
        }
        if found:
            await self._positions.record(found)
        self._recorded.update(counted)

    async def _fork(self, recorded: LogPosition | None, partition: int) -> str | None:
        if recorded is None:
            return None
        if recorded.offset >= self._log.end_offset(partition):
            return _older(recorded.offset + 1, self._log.end_offset(partition))
        chain = await self._log.chain_at(partition, recorded.offset)
        if chain is None:
            # A store that was restored, and frames deleted since: what the log still holds is counted again.
            self._logger.warning(
                "the store is older than the log: frames are counted again",
                partition=partition,
                from_frame=recorded.offset,
            )
        elif chain != recorded.chain:
            return (
                f"the log has other frames up to {recorded.offset} than those that were counted: it was restored from "
                "an older copy, and has grown since"
            )
        return None


def counted_to(progress: FlushProgress | None) -> tuple[int, int]:
    """The first offset that is not counted, and the end of what is counted or claimed."""
    if progress is None:
        return 0, 0
    claim = progress.claim
    return (claim.last + 1 if progress.done else claim.first), claim.last + 1


def _problem(first: int, end: int, held_from: int, log_end: int) -> str | None:
    if log_end < end:
        return _older(end, log_end)
    if held_from > first:
        return (
            f"frames {first} to {held_from - 1} are not counted and no longer in the log: the usage store was restored "
            "from a copy that is too old"
        )
    return None


def _lost_flushes(partition: int, recorded: int, first: int) -> str:
    return (
        f"partition {partition}: the usage store has recorded that frames up to {recorded} are counted, but its "
        f"flushes end at frame {first - 1}: rows of the table flushes are lost. Run `tallyhouse repair --dry-run`: it "
        "lists what can be made again from the raw events"
    )


def _older(counted_end: int, log_end: int) -> str:
    return (
        f"frames up to {counted_end - 1} are counted, but the log ends at {log_end - 1}: it was restored from an older "
        "copy, or its end is lost"
    )


@asynccontextmanager
async def record_positions(recorder: PositionRecorder, logger: Logger) -> AsyncIterator[None]:
    """Checks the log at the start, records in the background, and a last time on exit."""
    await recorder.check()
    recording = asyncio.create_task(_record_repeatedly(recorder, logger))
    try:
        yield
    finally:
        recording.cancel()
        await asyncio.wait([recording])
        await _record_once(recorder, logger)


async def _record_repeatedly(recorder: PositionRecorder, logger: Logger) -> None:
    while True:
        await asyncio.sleep(RECORD_SECONDS)
        await _record_once(recorder, logger)


async def _record_once(recorder: PositionRecorder, logger: Logger) -> None:
    try:
        await recorder.record()
    except StoreFailed as error:
        logger.warning("the counted part of the log could not be recorded, retrying", reason=str(error))
