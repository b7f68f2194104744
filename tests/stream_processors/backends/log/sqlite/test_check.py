"""The check of a log names what keeps it from being written, and passes again by itself."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from schemas.errors import LogGap, Overloaded, Unready
from schemas.logger import NullLogger
from stream_processors.backends.log.policy import LogPolicy
from stream_processors.backends.log.sqlite.log import SqliteFrameLog
from tests.contracts.frame_log import PARTITIONS, eventually, numbered

pytestmark = pytest.mark.anyio


class ErrorLines(NullLogger):
    """Records the events of the levels error and info."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def error(self, event: str, **_fields: object) -> None:
        self.events.append(event)

    def info(self, event: str, **_fields: object) -> None:
        self.events.append(event)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """No other connection can write meanwhile."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


async def passes(log: SqliteFrameLog) -> bool:
    try:
        await log.check()
    except Unready:
        return False
    return True


async def test_a_commit_that_fails_is_reported_until_one_succeeds(tmp_path: Path) -> None:
    """Without a post as well: the log tries a small write by itself."""
    path, lines = tmp_path / "log.db", ErrorLines()
    async with SqliteFrameLog(path, PARTITIONS, LogPolicy(busy_seconds=0.01), logger=lines) as log:
        await log.check()
        with locked(path):
            for _ in range(20):
                with pytest.raises(Overloaded):
                    await log.append(numbered(1))
            with pytest.raises(Unready, match="SQLITE_BUSY"):
                await log.check()
        await eventually(lambda: passes(log))
    assert lines.events == ["frames cannot be written: posts are refused"]


async def test_a_commit_that_hangs_is_reported(tmp_path: Path) -> None:
    """As on a frozen disk."""
    path = tmp_path / "log.db"
    async with SqliteFrameLog(path, PARTITIONS, LogPolicy(busy_seconds=60, hung_seconds=0.05)) as log:
        with locked(path):
            hanging = asyncio.create_task(log.append(numbered(1)))

            async def fails() -> bool:
                return not await passes(log)

            await eventually(fails)
            with pytest.raises(Unready, match="has not answered a write"):
                await log.check()
        await hanging
        await log.check()


async def test_a_disk_with_little_room_is_full(tmp_path: Path) -> None:
    """Before a commit fails."""
    async with SqliteFrameLog(tmp_path / "log.db", PARTITIONS, LogPolicy(free_bytes=2**62)) as log:
        with pytest.raises(Unready, match="the log's disk is full"):
            await log.check()


async def test_a_disk_that_does_not_sync_is_reported(tmp_path: Path) -> None:
    """One write waits for the disk, however often the check runs."""
    async with SqliteFrameLog(tmp_path / "log.db", PARTITIONS, LogPolicy(probe_seconds=0.0)) as log:
        log._probe = asyncio.get_running_loop().create_future()
        for _ in range(3):
            with pytest.raises(Unready, match="does not answer a small write"):
                await log.check()
        log._probe.set_result(None)
        await log.check()


@pytest.mark.parametrize("is_deleted", [False, True])
async def test_a_file_that_is_replaced_under_the_server_takes_no_more_frames(tmp_path: Path, is_deleted: bool) -> None:
    """They would go to a file without a name, and be lost with the process."""
    path = tmp_path / "log.db"
    async with SqliteFrameLog(path, PARTITIONS) as log:
        await log.append(numbered(1))
        path.rename(tmp_path / "aside.db")
        if not is_deleted:
            path.write_bytes((tmp_path / "aside.db").read_bytes())
        for _ in range(2):
            with pytest.raises(LogGap, match="replaced or deleted"):
                await log.append(numbered(1))
        with pytest.raises(Unready, match="replaced or deleted"):
            await log.check()


async def test_a_check_that_is_cancelled_harms_no_append(tmp_path: Path) -> None:
    """Its probe is answered by the thread that answers the appends."""
    async with SqliteFrameLog(tmp_path / "log.db", PARTITIONS) as log:
        for _ in range(20):
            check = asyncio.create_task(log.check())
            await asyncio.sleep(0)
            probe = log._probe
            check.cancel()
            if probe is not None:
                probe.cancel()
            log._probe, log._synced_until = None, 0.0
            await log.append(numbered(1))
        assert log.end_offset(0) == 20
