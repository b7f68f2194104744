"""A new log is made of what a damaged one still holds, and a kill on the way leaves nothing that looks well."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import LogGap
from stream_processors.backends.log.sqlite.anchor import anchor_path
from stream_processors.backends.log.sqlite.log import SqliteFrameLog
from stream_processors.backends.log.sqlite.mending import DamagedLog, KeptFrames, rebuild
from tests.contracts.frame_log import PARTITIONS, everything, numbered

pytestmark = pytest.mark.anyio


async def damaged_log(path: Path) -> DamagedLog:
    """Five frames in partition 0, of which the second one is damaged; two in partition 1."""
    async with SqliteFrameLog(path, PARTITIONS) as log:
        await log.append([*numbered(5), *numbered(2, partition=1)])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        assert other.execute("UPDATE frames SET payload = x'ff' WHERE place = 1").rowcount == 1
    return DamagedLog(path, PARTITIONS)


def kept_of(damaged: DamagedLog, first: int) -> list[KeptFrames]:
    """All readable frames of each partition, from the offset `first` on in the new log."""
    return [
        KeptFrames(partition=partition, first=first, offsets=[row[0] & 0xFF for row in damaged.rows(partition)])
        for partition in range(PARTITIONS)
    ]


async def test_what_can_be_read_is_kept(tmp_path: Path) -> None:
    """In its order, from the offset that the store expects; the damaged log is kept aside."""
    path = tmp_path / "log.db"
    damaged = await damaged_log(path)
    log_id = damaged.log_id()
    assert log_id is not None
    assert [row[2] for row in damaged.rows(0)] == [b"0", b"2", b"3", b"4"]
    starts = rebuild(damaged, log_id, kept_of(damaged, first=7), ".aside")
    async with SqliteFrameLog(path, PARTITIONS) as log:
        assert log.identity.log_id == log_id
        frames = await everything(log)
        assert [(frame.offset, frame.payload) for frame in frames] == [(7, b"0"), (8, b"2"), (9, b"3"), (10, b"4")]
        assert [frame.payload for frame in await everything(log, 1)] == [b"0", b"1"]
        assert [log.end_offset(partition) for partition in range(PARTITIONS)] == [11, 9, 7]
        assert [await log.chain_at(partition, 6) for partition in range(PARTITIONS)] == list(starts.values())
    assert (tmp_path / "log.db.aside").exists()
    assert anchor_path(path).with_name("log.db-acked.aside").exists()


@pytest.mark.parametrize("failing", ["rename", "hardlink_to", "replace"])
async def test_a_kill_on_the_way_loses_nothing(tmp_path: Path, failing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The start refuses what is there then, and the same command run again succeeds."""
    path = tmp_path / "log.db"
    damaged = await damaged_log(path)
    log_id = damaged.log_id()
    assert log_id is not None

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, failing, killed)
        with pytest.raises(KeyboardInterrupt):
            rebuild(damaged, log_id, kept_of(damaged, first=0), ".first")
    with pytest.raises(LogGap):
        async with SqliteFrameLog(path, PARTITIONS) as log:
            await everything(log)
    rebuild(damaged, log_id, kept_of(damaged, first=0), ".second")
    async with SqliteFrameLog(path, PARTITIONS) as log:
        assert [frame.payload for frame in await everything(log)] == [b"0", b"2", b"3", b"4"]
