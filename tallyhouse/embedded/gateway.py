"""Embedded mode, opened: the gateway's own parts in this process, and the worker beside it.

In the order in which one needs the other; closed in reverse.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from starlette.types import ASGIApp

from ingest_gateway.api import app
from ingest_gateway.ingest.arrival_clock import Arrivals, newest_arrival
from ingest_gateway.ingest.duplicate_lookup import FilteredKeys
from ingest_gateway.ingest.intake import Intake
from ingest_gateway.ingest.recall import recall
from ingest_gateway.ingest.recent_keys import RecentKeys
from rating.ledger.ledger import Ledger, open_ledger
from rating.ledger.migrate import migrate
from stream_processors.backends.log.policy import LogPolicy
from stream_processors.backends.log.sqlite.log import SqliteFrameLog
from stream_processors.backends.sql.engine import SqlEngine
from stream_processors.backends.sql.seen_months import SqlSeenMonths
from stream_processors.backends.store.lookups import Lookups
from stream_processors.flushing.policy import WINDOW
from tallyhouse.billing_schedule import open_desk
from tallyhouse.embedded.key_filters import KeyFilters, being_filled
from tallyhouse.embedded.store_client import reached_store
from tallyhouse.embedded.worker_client import KeysOfTheWorker, Worker
from tallyhouse.embedded.worker_supervisor import KeptWorker
from tallyhouse.runtime.context import Surroundings
from tallyhouse.runtime.data_directory import DataDirectory
from tallyhouse.runtime.settings import Settings
from tallyhouse.service import app_policy, app_ports, app_surroundings, intake_policy


class Embedded(NamedTuple):
    """The running whole, as the server sees it."""

    app: ASGIApp
    ledger: Ledger


@asynccontextmanager
async def open_embedded(settings: Settings, around: Surroundings, kept: KeptWorker) -> AsyncIterator[Embedded]:
    """Everything open and running, in a data directory that is ours; on leaving, what is in flight is finished."""
    policy = LogPolicy(held_bytes=settings.log_limit)
    log = SqliteFrameLog(DataDirectory(settings.data_dir).log, settings.partitions, policy, around.metrics)
    async with log, open_over(log, settings, around, kept) as embedded:
        yield embedded


@asynccontextmanager
async def open_over(
    log: SqliteFrameLog, settings: Settings, around: Surroundings, kept: KeptWorker
) -> AsyncIterator[Embedded]:
    """All that stands on an open log."""
    directory = DataDirectory(settings.data_dir)
    async with AsyncExitStack() as opened:
        ledger = opened.enter_context(open_ledger(directory.ledger_url, around.clock, prepare=migrate))
        worker = Worker(log, settings.partitions, around)
        password = secrets.token_urlsafe()
        kept.program.begin(password, worker.hear)
        opened.push_async_callback(kept.stop)
        await kept.once(worker.started())
        threads = opened.enter_context(reached_store(kept.program.port, password))
        seen, months = Lookups(SqlEngine(threads)), SqlSeenMonths(threads)
        recent = RecentKeys(settings.recent_keys, WINDOW)
        await recall(recent, log, settings.partitions)
        newest = await newest_arrival(log, months, settings.partitions)
        filters = KeyFilters(WINDOW)
        ends = {partition: log.end_offset(partition) for partition in range(settings.partitions)}
        await opened.enter_async_context(
            being_filled(filters, seen, settings.partitions, newest, lambda: worker.caught_up(ends), around.logger)
        )
        known = FilteredKeys(filters, KeysOfTheWorker(worker, seen), settings.partitions, WINDOW)
        arrivals = Arrivals(around.clock, newest, around.metrics, around.logger)
        arrivals.stamp()  # A clock that is behind is told of at the start, not only with the first event.
        intake = await opened.enter_async_context(
            Intake(log, known, recent, arrivals.stamp, intake_policy(settings), around.metrics)
        )
        desk = await opened.enter_async_context(open_desk(settings, around, ledger=ledger, threads=threads, seen=seen))
        ports = app_ports(
            settings,
            around,
            ledger=ledger,
            desk=desk,
            log=log,
            sink=log,
            intake=intake,
            threads=threads,
            seen=seen,
            status=worker,
            checks={"processors": worker.check},
        )
        yield Embedded(app.create_app(ports, app_policy(settings), app_surroundings(arrivals.stamp, around)), ledger)
