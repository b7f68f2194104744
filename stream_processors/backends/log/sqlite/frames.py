"""Reads frames from the log's SQLite file: what the writing and the reading process share."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from schemas.frame import Frame
from stream_processors.backends.log.policy import LogPolicy, within_bytes
from stream_processors.backends.log.sqlite.chain import (
    OFFSET_BITS,
    FrameRow,
    check_row,
    missing_frame,
    offset_of,
    rowid_of,
)
from stream_processors.backends.log.sqlite.file import LogFile, chain_at, translate_errors
from stream_processors.backends.log.tail import Tail

_Result = TypeVar("_Result")

_RANGE = "SELECT place, arrival, payload, previous, chain FROM frames WHERE place >= ? AND place < ? ORDER BY place"
_TRIMMED = "SELECT last FROM trimmed WHERE partition = ?"
_FIRST = "SELECT place FROM frames WHERE place >= ? AND place < ? ORDER BY place LIMIT 1"
_ARRIVAL = "SELECT arrival FROM frames WHERE place >= ? AND place < ? ORDER BY place LIMIT 1"


class SqliteFrames:
    """The reading half of the log. Its subclass advances the tail."""

    def __init__(self, path: Path, partitions: int, policy: LogPolicy) -> None:
        self._file = LogFile(path, policy.busy_seconds)
        self._partitions = partitions
        self._tail = Tail(partitions)
        self._readers = ReadConnections(self._file, policy.readers)

    async def first_offset(self, partition: int) -> int:
        """The lowest offset still held; in an empty partition, the next offset."""
        # Read first: a frame appended and counted in between must not make the result too high.
        end = self._tail.end(partition)
        place = await self._readers.call(lambda reader: reader.execute(_FIRST, _span(partition, 0)).fetchone())
        return end if place is None else offset_of(place[0])

    async def read(self, partition: int, start: int, *, max_bytes: int, last: int | None = None) -> Sequence[Frame]:
        """Frames from `start` on: up to `last`, or as many as fit into `max_bytes`.

        Raises LogGap if a frame is damaged, or missing without having been deleted.
        """

        def fetch(reader: sqlite3.Connection) -> Sequence[Frame]:
            rows = reader.execute(_RANGE, _span(partition, start, last))
            try:
                frames = map(_frame_of, _checked(partition, rows))
                found = list(frames if last is not None else within_bytes(frames, max_bytes))
            finally:
                # An open cursor would pin the write-ahead file and keep it growing.
                rows.close()
            _check_from(reader, partition, start, min(end - 1, end if last is None else last), found)
            return found

        end = self._tail.end(partition)
        if last is None and start >= end:
            return []
        return await self._readers.call(fetch)

    async def chain_at(self, partition: int, offset: int) -> int | None:
        """The chain after the frame; None if the log no longer knows it, or does not reach it."""
        return await self._readers.call(lambda reader: chain_at(reader, partition, offset))

    async def wait(self, partition: int, start: int, timeout: float) -> None:  # noqa: ASYNC109 (the port's word)
        """Returns when there is a frame at or after `start`, at the latest after `timeout` seconds."""
        await self._tail.wait(partition, start, timeout)

    def end_offset(self, partition: int) -> int:
        """The next offset to be assigned."""
        return self._tail.end(partition)

    async def oldest_arrival(self, partition: int, start: int) -> int | None:
        """Arrival of the first frame at or after `start`; None if there is none."""
        if start >= self._tail.end(partition):
            return None
        row = await self._readers.call(lambda reader: reader.execute(_ARRIVAL, _span(partition, start)).fetchone())
        return None if row is None else int(row[0])


class ReadConnections:
    """A thread pool in which each thread has its own connection."""

    def __init__(self, file: LogFile, threads: int) -> None:
        self._file = file
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="log-reader")
        self._own = threading.local()
        self._connections: list[sqlite3.Connection] = []

    async def call(self, query: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Runs the query in one of the threads. Raises Overloaded or StoreFailed."""

        def run() -> _Result:
            with translate_errors():
                return query(self._connection())

        return await asyncio.get_running_loop().run_in_executor(self._executor, run)

    def close(self) -> None:
        self._executor.shutdown()
        for connection in self._connections:
            connection.close()

    def _connection(self) -> sqlite3.Connection:
        if not hasattr(self._own, "connection"):
            self._own.connection = self._file.reader()
            self._connections.append(self._own.connection)
        connection: sqlite3.Connection = self._own.connection
        return connection


def _checked(partition: int, rows: Iterable[FrameRow]) -> Iterator[FrameRow]:
    expected: tuple[int, int] | None = None
    for row in rows:
        yield check_row(partition, row, expected)
        expected = row[0] + 1, row[4]


def _check_from(reader: sqlite3.Connection, partition: int, start: int, last: int, found: Sequence[Frame]) -> None:
    """Raises LogGap if frames before the first one found are neither in the log nor deleted from it."""
    first = found[0].offset if found else last + 1
    if first <= start:
        return
    row = reader.execute(_TRIMMED, (partition,)).fetchone()
    if row is None or row[0] < first - 1:
        raise missing_frame(partition, start)


def _frame_of(row: FrameRow) -> Frame:
    place, arrival, payload, _, _ = row
    return Frame(partition=place >> OFFSET_BITS, offset=offset_of(place), arrival=arrival, payload=payload)


def _span(partition: int, start: int, last: int | None = None) -> tuple[int, int]:
    """The rowids from `start` to the partition's end, or up to and including `last`."""
    beyond = rowid_of(partition + 1, 0) if last is None else rowid_of(partition, last + 1)
    return rowid_of(partition, start), beyond
