"""A gateway's parts, opened in the order in which one needs the other, closed in reverse."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import NamedTuple, TypeVar

from starlette.types import ASGIApp

from ingest_gateway.api import app
from ingest_gateway.ingest.arrival_clock import Arrivals, newest_arrival
from ingest_gateway.ingest.intake import Intake
from ingest_gateway.ingest.recall import recall
from ingest_gateway.ingest.recent_keys import RecentKeys
from schemas.timestamps import SECOND
from stream_processors.backends.log.kafka.policy import KafkaPolicy
from stream_processors.backends.log.kafka.sink import KafkaSink
from stream_processors.backends.log.policy import MEBIBYTE
from stream_processors.flushing.policy import WINDOW
from tallyhouse.billing_schedule import open_desk
from tallyhouse.cluster.addresses import brokers_of
from tallyhouse.cluster.clock_skew import check_clock, follow_others
from tallyhouse.cluster.known import open_known_keys
from tallyhouse.cluster.parts import Parts, open_parts
from tallyhouse.cluster.patience import patiently
from tallyhouse.cluster.status import ClusterStatus
from tallyhouse.runtime.cluster_settings import ClusterSettings
from tallyhouse.runtime.context import Surroundings
from tallyhouse.service import app_policy, app_ports, app_surroundings, intake_policy

_RECALL_BYTES = 64 * MEBIBYTE
"""Of all partitions together: seconds of traffic."""

_READING = KafkaPolicy(fetch_bytes=MEBIBYTE)
"""A gateway reads the log's end now and then; it need not keep much of it at hand."""

_Done = TypeVar("_Done")


class Gateway(NamedTuple):
    """The running whole, as its servers see it."""

    app: ASGIApp
    health: ASGIApp
    """Health and numbers of this process alone."""


@asynccontextmanager
async def open_gateway(settings: ClusterSettings, around: Surroundings) -> AsyncIterator[Gateway]:
    """Everything open and running; on leaving, what is in flight is finished first."""
    async with AsyncExitStack() as opened:
        parts = await _patiently(lambda: open_parts(opened, settings, around, _READING), settings, around)
        await _patiently(lambda: check_clock(parts.store.threads, around.clock), settings, around)
        arrivals = await _follow(opened, parts, settings, around)
        sink = await opened.enter_async_context(
            KafkaSink(brokers_of(settings), settings.kafka_topic, metrics=around.metrics)
        )
        intake = await _open_intake(opened, sink, parts, settings, arrivals, around)
        log, store, ledger = parts
        desk = await opened.enter_async_context(
            open_desk(settings, around, ledger=ledger, threads=store.threads, seen=store.flushes)
        )
        ports = app_ports(
            settings,
            around,
            ledger=ledger,
            desk=desk,
            log=log,
            sink=sink,
            intake=intake,
            threads=store.threads,
            seen=store.flushes,
            status=ClusterStatus(store.flushes, log, settings.partitions, around.clock),
            checks={"clock": lambda: check_clock(store.threads, around.clock)},
        )
        surroundings = app_surroundings(arrivals.stamp, around)
        yield Gateway(
            app.create_app(ports, app_policy(settings), surroundings), app.create_health_app(ports.checks, surroundings)
        )


async def _patiently(step: Callable[[], Awaitable[_Done]], settings: ClusterSettings, around: Surroundings) -> _Done:
    """Who answered a moment ago may be gone again before the start is over."""
    return await patiently(settings.connect_timeout / SECOND, step, around.logger)


async def _follow(opened: AsyncExitStack, parts: Parts, settings: ClusterSettings, around: Surroundings) -> Arrivals:
    newest = await _patiently(
        lambda: newest_arrival(parts.log, parts.store.months, settings.partitions), settings, around
    )
    arrivals = Arrivals(around.clock, newest, around.metrics, around.logger)
    arrivals.stamp()  # A clock that is behind is told of at the start, not only with the first event.
    following = asyncio.create_task(follow_others(arrivals, parts.log, settings.partitions, around.logger))

    async def end() -> None:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following

    opened.push_async_callback(end)
    return arrivals


async def _open_intake(
    opened: AsyncExitStack,
    sink: KafkaSink,
    parts: Parts,
    settings: ClusterSettings,
    arrivals: Arrivals,
    around: Surroundings,
) -> Intake:
    recent = RecentKeys(settings.recent_keys, WINDOW)
    most_bytes = _RECALL_BYTES // settings.partitions
    await _patiently(lambda: recall(recent, parts.log, settings.partitions, most_bytes), settings, around)
    known = await opened.enter_async_context(open_known_keys(settings.redis_url, around))
    return await opened.enter_async_context(
        Intake(sink, known, recent, arrivals.stamp, intake_policy(settings), around.metrics)
    )
