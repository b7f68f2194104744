"""The log in one SQLite file: an appended frame is on disk before `append` returns."""

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from schemas.errors import StoreFailed, Unready
from schemas.frame import NewFrame
from schemas.logger import Logger, NullLogger
from schemas.metrics import Metrics, NullMetrics
from stream_processors.backends.log.identity import LogIdentity
from stream_processors.backends.log.policy import LogPolicy
from stream_processors.backends.log.quota import Quota
from stream_processors.backends.log.sqlite.anchor import Acknowledger
from stream_processors.backends.log.sqlite.file import held_bytes, partition_ends, translate_errors
from stream_processors.backends.log.sqlite.frames import SqliteFrames
from stream_processors.backends.log.sqlite.writer import LogWriter

_PROBE_INTERVAL_SECONDS = 1.0
"""Readiness checks are public: however many come, the disk is probed once in this time."""

_Part = TypeVar("_Part")


class SqliteFrameLog(SqliteFrames):
    """The gateway's sink and the processors' log in one; from any event loop, between `async with`."""

    def __init__(
        self,
        path: Path,
        partitions: int,
        policy: LogPolicy | None = None,
        metrics: Metrics | None = None,
        logger: Logger | None = None,
    ) -> None:
        self._policy = policy or LogPolicy()
        super().__init__(path, partitions, self._policy)
        self._folder = path.resolve().parent
        self._metrics = metrics or NullMetrics()
        self._logger = logger or NullLogger()
        self._synced_until = 0.0
        self._probe: asyncio.Future[None] | None = None
        self._quota = Quota(self._policy.held_bytes)
        self._writer: LogWriter | None = None
        self._identity: LogIdentity | None = None

    async def __aenter__(self) -> Self:
        await asyncio.get_running_loop().run_in_executor(None, self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    @property
    def identity(self) -> LogIdentity:
        return _require_open(self._identity)

    @property
    def held_bytes(self) -> int:
        """Payload bytes in the log and of appends in flight."""
        return self._quota.held

    async def append(self, frames: Sequence[NewFrame]) -> None:
        """All frames are durable, and recorded as acknowledged, when this returns.

        Raises Overloaded when the log or the disk is full.
        """
        if frames:
            await asyncio.wrap_future(_require_open(self._writer).append(frames))

    async def acknowledge(self, partition: int, last: int) -> None:
        """Frames up to `last` are counted: they are deleted in the background. Raises Alarm past the end of the log."""
        if last >= 0:
            _require_open(self._writer).acknowledge(partition, last)

    async def check(self) -> None:
        """Raises Unready if frames cannot be written or read now, with the cause: a full, frozen or broken disk."""
        writer = _require_open(self._writer)
        if problem := writer.problem:
            raise Unready(problem)
        free = await asyncio.get_running_loop().run_in_executor(None, _free_bytes, self._folder)
        if free < self._policy.free_bytes:
            raise Unready(f"the log's disk is full: {free:,} bytes are free")
        await self._check_disk_syncs(writer)
        await self.first_offset(0)

    async def _check_disk_syncs(self, writer: LogWriter) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() < self._synced_until:
            return
        # One probe at a time: a write that a disk does not answer cannot be withdrawn.
        probe = self._probe = self._probe or asyncio.wrap_future(writer.probe())
        await asyncio.wait([probe], timeout=self._policy.probe_seconds)
        if not probe.done():
            raise Unready("the log's disk does not answer a small write: is it frozen, or much too slow?")
        self._probe = None
        if error := probe.exception():
            raise Unready(str(error))
        self._synced_until = loop.time() + _PROBE_INTERVAL_SECONDS

    def _open(self) -> None:
        with translate_errors():
            connection, self._identity = self._file.writer(self._partitions)
            ends = partition_ends(connection, self._identity)
            self._tail.advance({partition: end.end for partition, end in ends.items()})
            self._quota.add_existing(held_bytes(connection))
        acks = Acknowledger(self._file.anchor(self._partitions), self._identity.log_id, ends, time.perf_counter)
        self._writer = LogWriter(
            connection,
            self._file.check_in_place,
            acks,
            self._tail,
            self._quota,
            self._policy,
            self._metrics,
            self._logger,
        )
        self._writer.start()

    def _close(self) -> None:
        self._readers.close()
        if self._writer is not None:
            self._writer.stop()


def _free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def _require_open(part: _Part | None) -> _Part:
    if part is None:
        raise StoreFailed("the log is not open")
    return part
