"""Opens the parts of a gateway in order of their dependencies, and closes them in reverse."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import NamedTuple, TypeVar

from starlette.types import ASGIApp

from ingest_gateway.api import app
from ingest_gateway.api.health_app import create_health_app
from ingest_gateway.ingest.arrival_clock import ArrivalClock, known_arrivals
from ingest_gateway.ingest.duplicate_lookup import NoKeyHints
from ingest_gateway.ingest.intake import Intake
from ingest_gateway.ingest.recent_keys import RecentKeys, warm_up
from ingest_gateway.ports import FrameSink, KeyHints
from schemas.errors import IdentityChanged, Misconfigured, StoreFailed
from schemas.timestamps import SECOND
from schemas.window import DEDUPE_WINDOW
from stream_processors.backends.log.kafka.log import KafkaFrameLog
from stream_processors.backends.log.kafka.policy import KafkaPolicy
from stream_processors.backends.log.kafka.sink import KafkaSink
from stream_processors.backends.log.policy import MEBIBYTE
from tallyhouse.billing_schedule import open_run_service
from tallyhouse.cluster.admission import Admission, AdmissionSink
from tallyhouse.cluster.clock_skew import VerifiedClock, believable, check_clock
from tallyhouse.cluster.connections import Connections, brokers_of, open_connections
from tallyhouse.cluster.startup import retry_until_available
from tallyhouse.cluster.status import ClusterStatus
from tallyhouse.runtime.clock import timer
from tallyhouse.runtime.cluster_settings import ClusterSettings
from tallyhouse.runtime.startup import Runtime
from tallyhouse.service import app_policy, app_ports, build_app_context, intake_policy

_RECALL_BYTES = 64 * MEBIBYTE
"""For all partitions together: seconds of traffic."""

_READING = KafkaPolicy(fetch_bytes=MEBIBYTE)
"""A gateway reads only the end of the log, now and then, and needs no large buffers."""

_Result = TypeVar("_Result")


class Gateway(NamedTuple):
    """The HTTP apps of a running gateway."""

    app: ASGIApp
    health: ASGIApp
    """Health and metrics of this process alone."""


@asynccontextmanager
async def open_gateway(settings: ClusterSettings, runtime: Runtime) -> AsyncIterator[Gateway]:
    """Opens and runs a gateway. On exit, requests in flight finish first."""
    async with AsyncExitStack() as opened:
        connections = await _retry(lambda: open_connections(opened, settings, runtime, _READING), settings, runtime)
        await _retry(lambda: check_clock(connections.store.threads, runtime.clock), settings, runtime)
        clock = VerifiedClock(runtime.clock, timer)
        admission = Admission(connections.log, connections.store.threads, clock, settings.partitions, runtime.logger)
        with suppress(IdentityChanged, StoreFailed):  # A refusal is logged, and the gateway serves everything else.
            await admission.verify_log()
        arrivals = await _follow(opened, connections, admission, clock, settings, runtime)
        appending = await opened.enter_async_context(
            KafkaSink(brokers_of(settings), settings.kafka_topic, metrics=runtime.metrics, verify=admission.verify_log)
        )
        sink = AdmissionSink(appending, admission.refusals)
        intake = await _open_intake(opened, sink, connections, settings, arrivals, runtime)
        log, store, ledger = connections
        run_service = await opened.enter_async_context(
            open_run_service(settings, runtime, ledger=ledger, threads=store.threads, seen=store.flushes)
        )
        ports = app_ports(
            settings,
            runtime,
            ledger=ledger,
            run_service=run_service,
            log=log,
            sink=sink,
            intake=intake,
            threads=store.watched,
            seen=store.flushes,
            status=ClusterStatus(store.flushes, log, store.set_aside, settings.partitions, runtime.clock),
            checks={"log": lambda: _check_log(admission, log), "clock": admission.compare_clock},
        )
        context = build_app_context(arrivals.stamp, runtime)
        yield Gateway(app.create_app(ports, app_policy(settings), context), create_health_app(ports.checks, context))


async def _check_log(admission: Admission, log: KafkaFrameLog) -> None:
    await admission.verify_log()
    await log.first_offset(0)


async def _retry(step: Callable[[], Awaitable[_Result]], settings: ClusterSettings, runtime: Runtime) -> _Result:
    # A server that answered at the first step may be down at the next.
    return await retry_until_available(settings.connect_timeout / SECOND, step, runtime.logger)


async def _follow(
    opened: AsyncExitStack,
    connections: Connections,
    admission: Admission,
    clock: VerifiedClock,
    settings: ClusterSettings,
    runtime: Runtime,
) -> ArrivalClock:
    log, store, _ = connections
    known = await _retry(lambda: known_arrivals(log, store.months, settings.partitions), settings, runtime)
    newest = max(believable(known, runtime.clock()), default=0)
    arrivals = ArrivalClock(clock.now, newest, runtime.metrics, runtime.logger)
    arrivals.stamp()  # Reports a clock that is behind at the start, not only with the first event.
    following = asyncio.create_task(admission.watch(arrivals))

    async def end() -> None:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following

    opened.push_async_callback(end)
    return arrivals


async def _open_intake(
    opened: AsyncExitStack,
    sink: FrameSink,
    connections: Connections,
    settings: ClusterSettings,
    arrivals: ArrivalClock,
    runtime: Runtime,
) -> Intake:
    recent = RecentKeys(settings.recent_keys, DEDUPE_WINDOW)
    most_bytes = _RECALL_BYTES // settings.partitions
    await _retry(lambda: warm_up(recent, connections.log, settings.partitions, most_bytes), settings, runtime)
    known = await opened.enter_async_context(open_key_hints(settings.redis_url, runtime))
    return await opened.enter_async_context(
        Intake(sink, known, recent, arrivals.stamp, intake_policy(settings), runtime.metrics, runtime.logger)
    )


@asynccontextmanager
async def open_key_hints(redis_url: str | None, runtime: Runtime) -> AsyncIterator[KeyHints]:
    """The key hints in Redis, or none without a URL. Redis need not be up. Raises Misconfigured without its client."""
    if redis_url is None:
        yield NoKeyHints()
        return
    try:
        from tallyhouse.cluster import redis_hints  # noqa: PLC0415 - an optional library
    except ImportError as error:
        raise Misconfigured(
            ["TALLYHOUSE_REDIS_URL is set, but the Redis client is not installed: pip install 'tallyhouse[redis]'"]
        ) from error
    client = redis_hints.connect(redis_url)
    keys = redis_hints.RedisHints(client, DEDUPE_WINDOW, timer=timer, metrics=runtime.metrics, logger=runtime.logger)
    async with keys:
        yield keys
