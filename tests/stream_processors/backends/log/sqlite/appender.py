"""A program that appends until it is killed and prints what is acked: `python -m … FILE RUN`."""

import asyncio
import itertools
import sys
from pathlib import Path

from schemas.frame import NewFrame
from stream_processors.backends.log.sqlite.log import SqliteFrameLog
from tests.contracts.frame_log import PARTITIONS

WRITERS = 4


async def write(log: SqliteFrameLog, run: str, writer: int) -> None:
    for number in itertools.count():
        name = f"{run}.{writer}.{number}"
        payload = name.encode().ljust(3_000, b" ")
        await log.append([NewFrame(partition=p, arrival=number, payload=payload) for p in range(PARTITIONS)])
        print(name, flush=True)


async def main(file: str, run: str) -> None:
    async with SqliteFrameLog(Path(file), PARTITIONS) as log:
        await asyncio.gather(*(write(log, run, writer) for writer in range(WRITERS)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
