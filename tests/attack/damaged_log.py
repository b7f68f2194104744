"""A log whose files are damaged at random, and its start on them: it delivers all that was acknowledged, or alarms."""

import asyncio
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

from schemas.errors import TallyhouseError
from schemas.frame import NewFrame
from stream_processors.backends.log.sqlite.log import SqliteFrameLog

PARTITIONS = 2
LOG = "log.sqlite"
WAL = f"{LOG}-wal"
ACKED = f"{LOG}-acked"
EXACT, ALARM = "exact", "alarm"

Acked = dict[int, list[bytes]]
"""The payloads that were acknowledged, by partition, in order; deleted ones among them."""


async def fill(folder: Path, chance: random.Random, *, copy_to: Path, checkpoint: bool) -> Acked:
    """Appends frames, counts some of them, and copies the files as a kill would leave them."""
    acked: Acked = {partition: [] for partition in range(PARTITIONS)}
    async with SqliteFrameLog(folder / LOG, PARTITIONS) as log:
        commits = chance.randrange(6, 14)
        for commit in range(commits):
            frames = [
                NewFrame(partition=chance.randrange(PARTITIONS), arrival=commit, payload=chance.randbytes(size))
                for size in (chance.choice((0, 30, 700, 9_000)) for _ in range(chance.randrange(1, 5)))
            ]
            await log.append(frames)
            for frame in frames:
                acked[frame.partition].append(frame.payload)
            if checkpoint and commit == commits // 2:
                await asyncio.to_thread(_checkpoint, log)
        shutil.copytree(folder, copy_to)
    return acked


def _checkpoint(log: SqliteFrameLog) -> None:
    connection = log._file.reader()
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    connection.close()


async def outcome_of_start(folder: Path, acked: Acked) -> str:
    """`exact`, or `alarm` if the start or a read raises one. Anything else fails."""
    try:
        async with SqliteFrameLog(folder / LOG, PARTITIONS) as log:
            for partition, expected in acked.items():
                frames = await log.read(partition, 0, max_bytes=2**30, last=log.end_offset(partition) - 1)
                found = [frame.payload for frame in frames]
                assert found == expected, f"partition {partition}: {len(found)} frames instead of {len(expected)}"
                assert [frame.offset for frame in frames] == list(range(len(expected)))
    except TallyhouseError:
        return ALARM
    return EXACT


def flip_a_bit(file: Path, chance: random.Random) -> None:
    content = bytearray(file.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)


def cut(file: Path, chance: random.Random) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: chance.randrange(len(content))])


def overwrite_the_tail(file: Path, chance: random.Random) -> None:
    """Garbage over the last 100 bytes, as a torn write leaves it."""
    content = file.read_bytes()
    file.write_bytes(content[:-100] + chance.randbytes(100))


def append_garbage(file: Path, chance: random.Random) -> None:
    with file.open("ab") as end:
        end.write(chance.randbytes(chance.randrange(1, 10_000)))


def overwrite_anywhere(file: Path, chance: random.Random) -> None:
    content = bytearray(file.read_bytes())
    start, size = chance.randrange(len(content)), chance.randrange(1, 600)
    content[start : start + size] = chance.randbytes(len(content[start : start + size]))
    file.write_bytes(content)


def delete(file: Path, _chance: random.Random) -> None:
    file.unlink()


DAMAGES = (flip_a_bit, cut, overwrite_the_tail, append_garbage, overwrite_anywhere, delete)
FILES: Sequence[str] = (LOG, WAL, ACKED)
