"""The product's own server over the real log, except that appends do not return while a file `stalled` is there."""

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from schemas.frame import NewFrame
from schemas.metrics import Metrics
from stream_processors.backends.log.sqlite.log import SqliteFrameLog
from tallyhouse.embedded.gateway import open_over
from tallyhouse.embedded.listeners import listening_for_questions
from tallyhouse.embedded.serve import _install_key
from tallyhouse.embedded.worker_supervisor import Handed, kept_running
from tallyhouse.runtime import memory
from tallyhouse.runtime.context import Surroundings
from tallyhouse.runtime.data_directory import DataDirectory
from tallyhouse.runtime.environment import read_settings
from tallyhouse.runtime.http_server import Server, listening
from tallyhouse.runtime.logs import build_logger
from tallyhouse.runtime.prometheus import PrometheusMetrics
from tallyhouse.runtime.settings import Settings

STALLED = "stalled"
LOOK_SECONDS = 0.02


class StallingLog(SqliteFrameLog):
    """As a disk that hangs: no answer, and no error either."""

    def __init__(self, directory: DataDirectory, partitions: int, metrics: Metrics) -> None:
        super().__init__(directory.log, partitions, None, metrics)
        self._stalled: Path = directory.path / STALLED

    async def append(self, frames: Sequence[NewFrame]) -> None:
        while self._stalled.exists():  # noqa: ASYNC110 - the sign comes from another process
            await asyncio.sleep(LOOK_SECONDS)
        await super().append(frames)


async def serve(settings: Settings) -> None:
    logger = build_logger(log_format=settings.log_format, level=settings.log_level, stream=sys.stderr, clock=now)
    around = Surroundings(clock=now, logger=logger, metrics=PrometheusMetrics())
    directory = DataDirectory(settings.data_dir)
    with (
        listening(settings.host, settings.port) as listener,
        listening_for_questions() as for_questions,
        directory.owned() as lock,
    ):
        async with (
            kept_running(Handed(os.environ, lock, for_questions, None), logger) as kept,
            StallingLog(directory, settings.partitions, around.metrics) as log,
            open_over(log, settings, around, kept) as embedded,
        ):
            await _install_key(settings, embedded.ledger.accounts)
            memory.settle()
            await Server(embedded.app, settings.shutdown_grace).serve(sockets=[listener])


def now() -> int:
    return time.time_ns() // 1000


if __name__ == "__main__":
    memory.prepare()
    uvloop.run(serve(read_settings(os.environ)))
