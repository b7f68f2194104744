"""The product's own server over the real log, on a disk that hangs while a file named `stalled` exists, and is slow
while one named `slow` does."""

import asyncio
import os
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from schemas.frame import NewFrame
from schemas.metrics import Metrics
from stream_processors.backends.log.sqlite.log import SqliteFrameLog
from stream_processors.clickhouse_server.server import open_loopback_listener
from tallyhouse.embedded.admin_key import install_admin_key
from tallyhouse.embedded.gateway import open_gateway_on_log
from tallyhouse.embedded.worker_supervisor import Inherited, supervise_worker
from tallyhouse.runtime import memory
from tallyhouse.runtime.data_directory import DataDirectory
from tallyhouse.runtime.environment import read_settings
from tallyhouse.runtime.http_server import Server, limits_of, open_listener
from tallyhouse.runtime.logs import build_logger
from tallyhouse.runtime.prometheus import PrometheusMetrics
from tallyhouse.runtime.settings import EmbeddedSettings
from tallyhouse.runtime.startup import Runtime

STALLED = "stalled"
SLOW = "slow"
SLOWEST_SECONDS = 0.5
LOOK_SECONDS = 0.02


class StallingLog(SqliteFrameLog):
    """Behaves like a disk that hangs, without an answer or an error, or like one that takes its time."""

    def __init__(self, directory: DataDirectory, partitions: int, metrics: Metrics) -> None:
        super().__init__(directory.log, partitions, None, metrics)
        self._stalled: Path = directory.path / STALLED
        self._slow: Path = directory.path / SLOW
        self._chance = random.Random(7)

    async def append(self, frames: Sequence[NewFrame]) -> None:
        while self._stalled.exists():  # noqa: ASYNC110 - the sign comes from another process
            await asyncio.sleep(LOOK_SECONDS)
        if self._slow.exists():
            await asyncio.sleep(self._chance.uniform(0, SLOWEST_SECONDS))
        await super().append(frames)


async def serve(settings: EmbeddedSettings) -> None:
    logger = build_logger(log_format=settings.log_format, level=settings.log_level, stream=sys.stderr, clock=now)
    runtime = Runtime(clock=now, logger=logger, metrics=PrometheusMetrics())
    directory = DataDirectory(settings.data_dir)
    with (
        open_listener(settings.host, settings.port) as listener,
        open_loopback_listener(0) as for_questions,
        directory.hold_lock() as lock,
    ):
        async with (
            supervise_worker(Inherited(os.environ, lock, for_questions, None), logger) as supervised,
            StallingLog(directory, settings.partitions, runtime.metrics) as log,
            open_gateway_on_log(log, settings, runtime, supervised) as embedded,
        ):
            ledger = embedded.ledger
            await install_admin_key(settings, ledger.accounts, ledger.api_keys, now(), logger)
            memory.freeze_garbage_collector()
            await Server(embedded.app, limits_of(settings), settings.shutdown_grace).serve(sockets=[listener])


def now() -> int:
    return time.time_ns() // 1000


if __name__ == "__main__":
    memory.configure_allocator()
    uvloop.run(serve(read_settings(os.environ)))
