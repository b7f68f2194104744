"""The log's SQLite file, read by a process other than the one that writes it."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from schemas.errors import Alarm, LogGap, StoreFailed
from stream_processors.backends.log.identity import LogIdentity
from stream_processors.backends.log.policy import LogPolicy
from stream_processors.backends.log.sqlite.chain import missing_frame
from stream_processors.backends.log.sqlite.file import end_offsets, translate_errors
from stream_processors.backends.log.sqlite.frames import SqliteFrames

_POLL_SECONDS = 0.02
"""Seconds between two polls for new frames. A poll that finds nothing costs a few microseconds."""


class SqliteLogReader(SqliteFrames):
    """`FrameLog` and `LogTail` for processors; from any event loop, between `async with`.

    It cannot delete counted frames: `counted` is what the writing process has to acknowledge.
    """

    def __init__(
        self, path: Path, partitions: int, policy: LogPolicy | None = None, poll_seconds: float = _POLL_SECONDS
    ) -> None:
        super().__init__(path, partitions, policy or LogPolicy())
        self._poll_seconds = poll_seconds
        self._counted: dict[int, int] = {}
        self._error: StoreFailed | LogGap | None = None

    async def __aenter__(self) -> Self:
        with translate_errors():
            self._connection = self._file.reader()
            self._identity = self._file.checked_identity(self._connection, self._partitions)
            self._state = self._poll(state=None)
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watching.cancel()
        await asyncio.wait([self._watching])
        self._readers.close()
        self._connection.close()

    @property
    def identity(self) -> LogIdentity:
        return self._identity

    @property
    def counted(self) -> Mapping[int, int]:
        """The last acknowledged frame of each partition that has one."""
        return dict(self._counted)

    async def acknowledge(self, partition: int, last: int) -> None:
        """Frames up to `last` are counted. Raises Alarm past the end of the log."""
        if last >= self.end_offset(partition):
            raise Alarm(
                f"partition {partition}: frame {last} is said to be counted, but the log ends before "
                f"{self.end_offset(partition)}: is this the log that the usage was counted from?"
            )
        if last >= 0:
            self._counted[partition] = max(last, self._counted.get(partition, -1))

    async def wait(self, partition: int, start: int, timeout: float) -> None:  # noqa: ASYNC109 (the port's word)
        """Returns when there is a frame at or after `start`, at the latest after `timeout` seconds.

        Raises StoreFailed while the file cannot be read, so that an outage is never taken for the end of the log, and
        LogGap when the log has become shorter.
        """
        if self._error is not None:
            raise self._error
        await super().wait(partition, start, timeout)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            try:
                with translate_errors():
                    self._state = self._poll(self._state)
                self._error = None
            except LogGap as error:
                self._error = error
            except Exception as error:  # the next poll may succeed; until then `wait` raises
                self._error = StoreFailed(f"the log's file cannot be read: {error}")

    def _poll(self, state: int | None) -> int:
        """Refreshes the ends if the file has changed since `state`. Returns the current state."""
        (found,) = self._connection.execute("PRAGMA data_version").fetchone()
        if found != state:
            ends = end_offsets(self._connection, self._partitions)
            for partition, end in ends.items():
                if end < self.end_offset(partition):
                    raise missing_frame(partition, end)
            self._tail.advance(ends)
        return int(found)
