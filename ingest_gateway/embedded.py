"""Embedded mode: every part in one process, opened in the order in which one needs the other, closed in reverse."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from starlette.types import ASGIApp

from ingest_gateway.api import app
from ingest_gateway.billing_desk import open_desk
from ingest_gateway.data_directory import DataDirectory
from ingest_gateway.embedded_processors import open_processors
from ingest_gateway.ingest.arrivals import Arrivals, newest_arrival
from ingest_gateway.ingest.intake import Intake
from ingest_gateway.ingest.known_keys import FilteredKeys
from ingest_gateway.ingest.recall import recall
from ingest_gateway.ingest.recent import RecentKeys
from ingest_gateway.priorities import engine_stands_back
from ingest_gateway.service import app_policy, app_ports, app_surroundings, intake_policy
from ingest_gateway.settings import Settings
from ingest_gateway.surroundings import Surroundings
from rating.ledger.opening import Ledger, open_ledger
from schemas.hashing import HASH_NAME
from stream_processors.backends.log.policy import LogPolicy
from stream_processors.backends.log.sqlite import SqliteFrameLog
from stream_processors.backends.sql.chdb import Chdb
from stream_processors.backends.sql.client import SqlClient, SqlThreads
from stream_processors.backends.sql.engine import SqlEngine
from stream_processors.backends.sql.identity import Identity, check_identity
from stream_processors.backends.sql.migrate import migrate
from stream_processors.backends.sql.seen_months import SqlSeenMonths
from stream_processors.backends.sql.settings import EngineLimits
from stream_processors.backends.store.embedded import EmbeddedStore
from stream_processors.flushing.policy import WINDOW

DATABASE = "tallyhouse"
STATEMENTS = 6
"""How many the store runs at a time: those of the flushes, and a few questions beside them."""


class Embedded(NamedTuple):
    """The running whole, as the server sees it."""

    app: ASGIApp
    ledger: Ledger


class Store(NamedTuple):
    """The usage store: its client for whoever must see that it answers, and its ports."""

    threads: SqlThreads
    flushes: EmbeddedStore


@asynccontextmanager
async def open_embedded(settings: Settings, around: Surroundings) -> AsyncIterator[Embedded]:
    """Everything open and running; on leaving, what is in flight is finished first."""
    directory = DataDirectory(settings.data_dir)
    async with AsyncExitStack() as opened:
        opened.enter_context(directory.owned())
        policy = LogPolicy(held_bytes=settings.log_limit)
        log = await opened.enter_async_context(
            SqliteFrameLog(directory.log, settings.partitions, policy, around.metrics)
        )
        yield await opened.enter_async_context(open_over(log, settings, around))


@asynccontextmanager
async def open_over(log: SqliteFrameLog, settings: Settings, around: Surroundings) -> AsyncIterator[Embedded]:
    """All that stands on an open log, in a data directory that is ours."""
    directory = DataDirectory(settings.data_dir)
    async with AsyncExitStack() as opened:
        ledger = opened.enter_context(open_ledger(directory.ledger_url, around.clock))
        store = _open_store(opened, directory, _identity(settings, log))
        await opened.enter_async_context(engine_stands_back())
        months = SqlSeenMonths(store.threads)
        processors = opened.enter_context(open_processors(settings, log, store.flushes, months, ledger.meters, around))
        known = FilteredKeys(processors.filter_of, store.flushes, settings.partitions, WINDOW)
        recent = RecentKeys(settings.recent_keys, WINDOW)
        await recall(recent, log, settings.partitions)
        newest = await newest_arrival(log, months, settings.partitions)
        arrivals = Arrivals(around.clock, newest, around.metrics, around.logger)
        arrivals.stamp()  # A clock that is behind is told of at the start, not only with the first event.
        intake = await opened.enter_async_context(
            Intake(log, known, recent, arrivals.stamp, intake_policy(settings), around.metrics)
        )
        desk = await opened.enter_async_context(
            open_desk(settings, around, ledger=ledger, threads=store.threads, seen=store.flushes)
        )
        ports = app_ports(
            settings,
            around,
            ledger=ledger,
            desk=desk,
            log=log,
            sink=log,
            intake=intake,
            threads=store.threads,
            seen=store.flushes,
            status=processors.status,
            checks={"processors": processors.check},
        )
        yield Embedded(app.create_app(ports, app_policy(settings), app_surroundings(arrivals.stamp, around)), ledger)


def _identity(settings: Settings, log: SqliteFrameLog) -> Identity:
    return Identity(partitions=settings.partitions, hash_name=HASH_NAME, log_id=log.identity.log_id)


def _open_store(opened: AsyncExitStack, directory: DataDirectory, identity: Identity) -> Store:
    engine = opened.enter_context(Chdb(directory.store, STATEMENTS, EngineLimits()))
    threads = opened.enter_context(ThreadPoolExecutor(STATEMENTS, thread_name_prefix="store"))
    client: SqlClient = engine.database("default")
    migrate(client, DATABASE)
    check_identity([client], DATABASE, identity)
    in_threads = SqlThreads(engine.database(DATABASE), threads)
    return Store(in_threads, EmbeddedStore(SqlEngine(in_threads)))
