"""Frames are chained: damage, a shorter log and another history are recognised."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from schemas.errors import LogGap, Overloaded
from stream_processors.backends.log.sqlite.anchor import AnchorFile, anchor_path
from stream_processors.backends.log.sqlite.log import SqliteFrameLog
from stream_processors.backends.log.sqlite.reader import SqliteLogReader
from tests.contracts.frame_log import PARTITIONS, everything, new_frame, numbered, trimmed_to

pytestmark = pytest.mark.anyio

FORMAT_1 = """
CREATE TABLE frames (place INTEGER PRIMARY KEY, arrival INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE TABLE trimmed (partition INTEGER PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE identity (log_id TEXT NOT NULL, partitions INTEGER NOT NULL);
INSERT INTO identity VALUES ('old', 3);
INSERT INTO trimmed VALUES (0, 4);
INSERT INTO frames VALUES (5, 1, x'61'), (6, 2, x'62');
PRAGMA user_version=1;
"""


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        assert other.execute(statement).rowcount == 1


async def test_a_log_without_chains_gets_them(tmp_path: Path) -> None:
    """A log of an earlier version keeps its identity, its offsets and its frames."""
    path = tmp_path / "log.db"
    with closing(sqlite3.connect(path)) as old:
        old.executescript(FORMAT_1)
    for start in range(2):
        async with SqliteFrameLog(path, PARTITIONS) as log:
            assert log.identity.log_id == "old"
            assert [(f.offset, f.payload) for f in await everything(log)][:2] == [(5, b"a"), (6, b"b")]
            await log.append([new_frame()])
            assert log.end_offset(0) == 8 + start


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE frames SET payload = 'x' WHERE place = 1",
        "UPDATE frames SET payload = x'00' WHERE place = 1",
        "UPDATE frames SET arrival = arrival + 1 WHERE place = 1",
        "UPDATE frames SET chain = chain + 1 WHERE place = 1",
        "UPDATE frames SET previous = previous + 1 WHERE place = 1",
        "UPDATE frames SET arrival = 'x' WHERE place = 1",
        "DELETE FROM frames WHERE place = 1",
        "UPDATE frames SET place = 77 WHERE place = 1",
    ],
)
async def test_a_changed_frame_is_found_when_it_is_read(tmp_path: Path, statement: str) -> None:
    """Frames before it are still read."""
    path = tmp_path / "log.db"
    async with SqliteFrameLog(path, PARTITIONS) as log:
        await log.append(numbered(3))
        change(path, statement)
        assert [f.offset for f in await log.read(0, 0, max_bytes=0, last=0)] == [0]
        for start in (0, 1):
            with pytest.raises(LogGap, match=r"frame 1 is (damaged|missing)"):
                await log.read(0, start, max_bytes=0, last=2)


async def test_a_log_that_becomes_shorter_stops_its_reader(tmp_path: Path) -> None:
    """An end that goes back is an alarm, not an empty log."""
    path = tmp_path / "log.db"
    async with SqliteFrameLog(path, PARTITIONS) as log:
        await log.append(numbered(3))
        async with SqliteLogReader(path, PARTITIONS, poll_seconds=0.001) as reader:
            change(path, "DELETE FROM frames WHERE place = 2")

            async def wait_for_the_alarm() -> None:
                while True:
                    await reader.wait(0, 3, 0.001)
                    await asyncio.sleep(0.001)

            with pytest.raises(LogGap, match="frame 2 is missing"):
                await asyncio.wait_for(wait_for_the_alarm(), 20)


async def test_an_older_copy_of_the_log_is_refused(tmp_path: Path) -> None:
    """The second file states up to where frames were acknowledged, and survives the copy."""
    path = tmp_path / "log.db"
    async with SqliteFrameLog(path, PARTITIONS) as log:
        await log.append(numbered(3))
    older = path.read_bytes()
    async with SqliteFrameLog(path, PARTITIONS) as log:
        await log.append(numbered(2))
    path.write_bytes(older)
    for _ in range(2):
        with pytest.raises(LogGap, match="partition 0 ends at frame 2, but frames up to 4 were acknowledged"):
            async with SqliteFrameLog(path, PARTITIONS):
                pass


async def test_a_copy_that_has_grown_again_is_refused(tmp_path: Path) -> None:
    """It is as long as what was acknowledged, and holds other frames."""
    path = tmp_path / "log.db"
    acked: list[bytes] = []
    for payload in (b"one", b"other"):
        for file in (path, anchor_path(path)):
            file.unlink(missing_ok=True)
        async with SqliteFrameLog(path, PARTITIONS) as log:
            await log.append([new_frame(payload=payload)])
        acked.append(anchor_path(path).read_bytes())
    anchor_path(path).write_bytes(acked[0])
    with pytest.raises(LogGap, match="another log"):
        async with SqliteFrameLog(path, PARTITIONS):
            pass


async def test_a_log_whose_acks_are_behind_is_opened(tmp_path: Path) -> None:
    """A kill between a commit and its ack: the frames are there, and count."""
    path = tmp_path / "log.db"
    async with SqliteFrameLog(path, PARTITIONS) as log:
        await log.append(numbered(1))
        behind = anchor_path(path).read_bytes()
        await log.append(numbered(2))
    anchor_path(path).write_bytes(behind)
    async with SqliteFrameLog(path, PARTITIONS) as log:
        assert log.end_offset(0) == 3
        await log.append(numbered(1))
    acked = AnchorFile(path, PARTITIONS).read()
    assert acked is not None
    assert [end.end for end in acked.ends] == [4, 0, 0]


async def test_counted_and_deleted_frames_are_not_missed(tmp_path: Path) -> None:
    """The chain continues over deleted frames."""
    path = tmp_path / "log.db"
    async with SqliteFrameLog(path, PARTITIONS) as log:
        await log.append(numbered(5))
        chain = await log.chain_at(0, 2)
        await log.acknowledge(0, 2)
        await trimmed_to(log, 3)
        assert await log.chain_at(0, 2) == chain
        assert await log.chain_at(0, 1) is None
        assert [f.offset for f in await everything(log)] == [3, 4]


async def test_an_ack_that_cannot_be_recorded_fails(tmp_path: Path) -> None:
    """The frames may be stored; the next append is acknowledged again once the disk works."""
    path = tmp_path / "log.db"
    async with SqliteFrameLog(path, PARTITIONS) as log:
        writer = log._writer
        assert writer is not None
        descriptor = writer._acks._descriptor
        with path.open("rb") as readonly:
            writer._acks._descriptor = readonly.fileno()
            with pytest.raises(Overloaded, match="cannot be recorded"):
                await log.append(numbered(1))
        writer._acks._descriptor = descriptor
        await log.append(numbered(1))
        assert log.end_offset(0) == 2
