"""What the worker is made of: the log as the gateway writes it, the usage store, the processors, and who may ask."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

import msgspec

from rating.ledger.ledger import as_it_is, open_ledger
from schemas.hashing import HASH_NAME
from schemas.logger import Logger
from stream_processors.backends.log.policy import LogPolicy
from stream_processors.backends.log.sqlite.reader import SqliteLogReader
from stream_processors.backends.sql.engine import SqlEngine
from stream_processors.backends.sql.identity import Identity
from stream_processors.backends.sql.seen_months import SqlSeenMonths
from stream_processors.backends.store.embedded import EmbeddedStore
from tallyhouse.embedded.clickhouse_port import open_clickhouse_port
from tallyhouse.embedded.priorities import engine_stands_back
from tallyhouse.embedded.report import GatheredNumbers, Report
from tallyhouse.embedded.store import answering_the_gateway, own_store
from tallyhouse.embedded.worker_runtime import Processors, open_processors
from tallyhouse.runtime.data_directory import DataDirectory
from tallyhouse.runtime.prometheus import resident_bytes
from tallyhouse.runtime.settings import Settings


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """Time and words are the worker's own; numbers are told to the gateway."""

    clock: Callable[[], int]
    logger: Logger
    metrics: GatheredNumbers


class Doors(NamedTuple):
    """Where the worker is asked: by the gateway, and, if the port is on, by people's ClickHouse clients."""

    gateway: socket.socket
    password: str
    clients: socket.socket | None


class Counting(NamedTuple):
    """What is counted in this process."""

    log: SqliteLogReader
    processors: Processors
    numbers: GatheredNumbers

    async def report(self) -> Report:
        """How it stands now."""
        status = self.processors.status
        return Report(
            partitions=await status.partitions(),
            backfills=await status.backfills(),
            is_well=self.processors.is_well,
            counted=dict(self.log.counted),
            numbers=self.numbers.take(),
            memory=resident_bytes(),
        )


@asynccontextmanager
async def open_counting(settings: Settings, around: Surroundings, doors: Doors) -> AsyncIterator[Counting]:
    """Counting and answering until the end; then the running flushes are finished."""
    directory = DataDirectory(settings.data_dir)
    async with AsyncExitStack() as opened:
        policy = LogPolicy(held_bytes=settings.log_limit)
        log = await opened.enter_async_context(SqliteLogReader(directory.log, settings.partitions, policy))
        ledger = opened.enter_context(open_ledger(directory.ledger_url, around.clock, prepare=as_it_is))
        identity = Identity(partitions=settings.partitions, hash_name=HASH_NAME, log_id=log.identity.log_id)
        threads = opened.enter_context(own_store(directory, identity))
        await opened.enter_async_context(engine_stands_back())
        await opened.enter_async_context(answering_the_gateway(directory, doors.gateway, doors.password))
        await opened.enter_async_context(open_clickhouse_port(doors.clients, directory, ledger.api_keys, around.clock))
        processors = opened.enter_context(
            open_processors(
                settings, log, EmbeddedStore(SqlEngine(threads)), SqlSeenMonths(threads), ledger.meters, around
            )
        )
        yield Counting(log, processors, around.metrics)
