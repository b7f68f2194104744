"""After a kill at any moment the log has every acked frame once and in order.

A killed process shows that commits are whole and that an ack comes after its commit. It cannot show that the bytes
would survive a power cut, for the kernel still has them: that rests on SQLite's synchronous=FULL, which is checked
as a setting.
"""

import asyncio
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from stream_processors.backends.log.sqlite.file import LogFile
from stream_processors.backends.log.sqlite.log import SqliteFrameLog
from tests.contracts.frame_log import PARTITIONS, everything
from tests.stream_processors.backends.log.sqlite.appender import WRITERS

ROOT = Path(__file__).resolve().parents[5]
KILLS = [6, pytest.param(40, marks=pytest.mark.long)]


def acked_before_the_kill(file: Path, run: int, acks: int) -> list[str]:
    """Start the appender, kill it after this many acks, and return every ack it printed."""
    command = [sys.executable, "-m", "tests.stream_processors.backends.log.sqlite.appender", str(file), str(run)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        acked = [program.stdout.readline().strip() for _ in range(acks)]
        program.kill()
        # A last line cut short by the kill is not an ack.
        acked += [line.strip() for line in program.stdout if line.endswith("\n")]
    assert all(acked), "the appender ended by itself"
    return acked


async def names_in(file: Path) -> list[list[str]]:
    async with SqliteFrameLog(file, PARTITIONS) as log:
        found = []
        for partition in range(PARTITIONS):
            frames = await everything(log, partition)
            assert [frame.offset for frame in frames] == list(range(log.end_offset(partition)))
            found.append([frame.payload.decode().strip() for frame in frames])
        return found


@pytest.mark.parametrize("kills", KILLS)
def test_kill_at_random(tmp_path: Path, kills: int) -> None:
    """Every acked frame is there once; unacked ones at most once; each writer's frames are in its order."""
    chance = random.Random(0)
    file = tmp_path / "log.db"
    acked = [name for run in range(kills) for name in acked_before_the_kill(file, run, chance.randrange(1, 120))]
    for names in asyncio.run(names_in(file)):
        times = Counter(names)
        assert set(times.values()) == {1}
        assert [name for name in acked if times[name] != 1] == []
        for run in range(kills):
            for writer in range(WRITERS):
                own = [name for name in names if name.startswith(f"{run}.{writer}.")]
                assert own == [f"{run}.{writer}.{number}" for number in range(len(own))]


@pytest.mark.parametrize("reopened", [False, True])
def test_commits_are_fsynced(tmp_path: Path, reopened: bool) -> None:
    """The writing connection syncs at every commit (2 is FULL), in a new file and in an old one."""
    file = LogFile(tmp_path / "log.db", busy_seconds=1)
    for _ in range(1 + reopened):
        connection, _ = file.writer(PARTITIONS)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.close()
