"""The product's own server over the real log, except that appends do not return while a file `stalled` is there."""

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from ingest_gateway import memory
from ingest_gateway.data_directory import DataDirectory
from ingest_gateway.embedded.gateway import open_over
from ingest_gateway.embedded.listeners import listening_for_questions
from ingest_gateway.embedded.worker_program import Handed, kept_running
from ingest_gateway.environment import read_settings
from ingest_gateway.http_server import Server, listening
from ingest_gateway.logs import build_logger
from ingest_gateway.prometheus import PrometheusMetrics
from ingest_gateway.serve import _install_key
from ingest_gateway.settings import Settings
from ingest_gateway.surroundings import Surroundings
from schemas.frame import NewFrame
from schemas.metrics import Metrics
from stream_processors.backends.log.sqlite import SqliteFrameLog

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
