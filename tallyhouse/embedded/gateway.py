"""Opens the gateway of embedded mode: log, ledger, intake, billing and app, connected to the worker process.

The parts are opened in the order in which they depend on each other, and closed in reverse.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from starlette.types import ASGIApp

from ingest_gateway.api import app
from ingest_gateway.ingest.arrival_clock import ArrivalClock, newest_arrival
from ingest_gateway.ingest.duplicate_lookup import FilteredKeyHints
from ingest_gateway.ingest.intake import Intake
from ingest_gateway.ingest.recent_keys import RecentKeys, warm_up
from rating.ledger.ledger import Ledger, open_ledger
from rating.ledger.migrate import migrate
from schemas.window import DEDUPE_WINDOW
from stream_processors.backends.log.policy import LogPolicy
from stream_processors.backends.log.sqlite.log import SqliteFrameLog
from stream_processors.backends.sql.engine import SqlEngine
from stream_processors.backends.sql.seen_months import SqlSeenMonths
from stream_processors.backends.store.lookups import Lookups
from tallyhouse.billing_schedule import open_run_service
from tallyhouse.embedded.key_filters import KeyFilters, fill_in_background
from tallyhouse.embedded.store_client import connect_store
from tallyhouse.embedded.worker_client import AlarmedSink, WorkerClient, WorkerSeenKeys
from tallyhouse.embedded.worker_supervisor import SupervisedWorker
from tallyhouse.runtime.data_directory import DataDirectory
from tallyhouse.runtime.settings import EmbeddedSettings
from tallyhouse.runtime.startup import Runtime
from tallyhouse.service import app_policy, app_ports, build_app_context, intake_policy


class EmbeddedGateway(NamedTuple):
    """The open gateway: its app, and the ledger in which the first key is installed."""

    app: ASGIApp
    ledger: Ledger


@asynccontextmanager
async def open_embedded_gateway(
    settings: EmbeddedSettings, runtime: Runtime, supervised: SupervisedWorker
) -> AsyncIterator[EmbeddedGateway]:
    """Opens everything in a data directory whose lock this process holds. On exit, posts in flight are finished first.

    Raises StoreFailed if the worker cannot start.
    """
    policy = LogPolicy(held_bytes=settings.log_limit)
    log = SqliteFrameLog(
        DataDirectory(settings.data_dir).log, settings.partitions, policy, runtime.metrics, runtime.logger
    )
    async with log, open_gateway_on_log(log, settings, runtime, supervised) as gateway:
        yield gateway


@asynccontextmanager
async def open_gateway_on_log(
    log: SqliteFrameLog, settings: EmbeddedSettings, runtime: Runtime, supervised: SupervisedWorker
) -> AsyncIterator[EmbeddedGateway]:
    """Opens everything but the log."""
    directory = DataDirectory(settings.data_dir)
    async with AsyncExitStack() as opened:
        ledger = opened.enter_context(open_ledger(directory.ledger_url, runtime.clock, prepare=migrate))
        worker = WorkerClient(log, settings.partitions, runtime, lambda: supervised.program.is_stopped)
        password = secrets.token_urlsafe()
        supervised.program.allow_start(password, worker.on_report)
        opened.push_async_callback(supervised.stop)
        await supervised.wait_for(worker.wait_started())
        threads = opened.enter_context(connect_store(supervised.program.port, password, worker.why_store_is_absent))
        seen, months = Lookups(SqlEngine(threads)), SqlSeenMonths(threads)
        recent = RecentKeys(settings.recent_keys, DEDUPE_WINDOW)
        await warm_up(recent, log, settings.partitions)
        newest = await newest_arrival(log, months, settings.partitions)
        filters = KeyFilters(DEDUPE_WINDOW)
        ends = {partition: log.end_offset(partition) for partition in range(settings.partitions)}
        await opened.enter_async_context(
            fill_in_background(
                filters, seen, settings.partitions, newest, lambda: worker.wait_caught_up(ends), runtime.logger
            )
        )
        known = FilteredKeyHints(filters, WorkerSeenKeys(worker, seen), settings.partitions, runtime.metrics)
        arrivals = ArrivalClock(runtime.clock, newest, runtime.metrics, runtime.logger)
        arrivals.stamp()  # Reports a clock that is behind at the start, not only with the first event.
        sink = AlarmedSink(log, worker)
        intake = await opened.enter_async_context(
            Intake(sink, known, recent, arrivals.stamp, intake_policy(settings), runtime.metrics, runtime.logger)
        )
        run_service = await opened.enter_async_context(
            open_run_service(settings, runtime, ledger=ledger, threads=threads, seen=seen)
        )
        ports = app_ports(
            settings,
            runtime,
            ledger=ledger,
            run_service=run_service,
            log=log,
            sink=sink,
            intake=intake,
            threads=threads,
            seen=seen,
            status=worker,
            checks={"log": log.check, "processors": worker.check},
        )
        yield EmbeddedGateway(
            app.create_app(ports, app_policy(settings), build_app_context(arrivals.stamp, runtime)), ledger
        )
