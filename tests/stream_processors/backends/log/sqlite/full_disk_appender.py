"""Appends on a disk that fills up and then has room: `python -m … FILE` prints how many were acked and refused."""

import asyncio
import resource
import sys
from pathlib import Path

from schemas.errors import Overloaded, StoreFailed
from schemas.frame import NewFrame
from stream_processors.backends.log.sqlite.log import SqliteFrameLog
from tests.contracts.frame_log import PARTITIONS

ROOM = 400_000


async def append(log: SqliteFrameLog, number: int) -> bool:
    try:
        await log.append([NewFrame(partition=0, arrival=number, payload=b"%d".ljust(20_000) % number)])
    except (Overloaded, StoreFailed):
        return False
    return True


async def main(file: str) -> None:
    acked = refused = 0
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with SqliteFrameLog(Path(file), PARTITIONS) as log:
        # No file may grow beyond this: to a program that is the same as a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, hard))
        while refused < 5:
            stored = await append(log, acked)
            acked, refused = acked + stored, refused + (not stored)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        for _ in range(5):
            assert await append(log, acked)
            acked += 1
    print(acked, refused)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
