"""`--check`: reports whether the settings are valid and every server that they name answers; changes nothing."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from enum import StrEnum
from functools import partial
from typing import NamedTuple

from rating.ledger.engine import create_engine, transaction
from rating.ledger.migrate import require_newest
from schemas.errors import Misconfigured
from stream_processors.backends.sql.clickhouse_http import ClickHousePool
from stream_processors.backends.sql.engine_settings import EngineLimits
from stream_processors.backends.sql.identity import shard_address
from tallyhouse.cluster.clock_skew import check_clock
from tallyhouse.cluster.connections import identify_log
from tallyhouse.cluster.startup import start_process
from tallyhouse.cluster.store import open_store, servers_of
from tallyhouse.runtime.cluster_settings import ClusterSettings
from tallyhouse.runtime.startup import Runtime

Probe = Callable[[], Awaitable[str]]


class CheckLevel(StrEnum):
    """What a command requires of the servers."""

    BROKERS = "brokers"
    """Kafka answers."""
    ANSWERING = "answering"
    """The topic exists, and all other servers answer."""
    MIGRATED = "migrated"
    """All have what `topics create` and `migrate` make."""


class CheckResult(NamedTuple):
    """A line for each server that passes, and an error for each one that does not."""

    passed: Sequence[str]
    errors: Sequence[str]


def run_check(level: CheckLevel, seconds: float) -> CheckResult:
    """Probes every server at once. One that takes longer than `seconds` is reported as not answering.

    Raises Misconfigured for invalid settings.
    """
    settings, runtime = start_process()
    return run_probes(_probes(settings, runtime, EngineLimits(statement_seconds=max(int(seconds), 1)))[level], seconds)


def run_probes(probes: Mapping[str, Probe], seconds: float) -> CheckResult:
    """Each probe runs in a thread with an event loop of its own: one that hangs holds up neither the others nor the
    end of the process."""
    outcomes: dict[str, str | Exception] = {}
    threads = [
        threading.Thread(target=_run_probe, args=(name, probe, outcomes), name=name, daemon=True)
        for name, probe in probes.items()
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0))
    return CheckResult(
        [f"{name}: {outcome}" for name in probes if isinstance(outcome := outcomes.get(name), str)],
        [
            f"{name}: {outcome or f'no answer within {seconds:g} s'}"
            for name in probes
            if not isinstance(outcome := outcomes.get(name), str)
        ],
    )


def _run_probe(name: str, probe: Probe, outcomes: dict[str, str | Exception]) -> None:
    try:
        outcomes[name] = asyncio.run(_awaited(probe))
    except Exception as error:
        outcomes[name] = error


async def _awaited(probe: Probe) -> str:
    return await probe()


def _probes(
    settings: ClusterSettings, runtime: Runtime, limits: EngineLimits
) -> Mapping[CheckLevel, Mapping[str, Probe]]:
    def blocking(probe: Callable[[], str]) -> Probe:
        async def run() -> str:
            return probe()  # In a thread and a loop of its own.

        return run

    return {
        CheckLevel.BROKERS: {"log": lambda: _brokers(settings)},
        CheckLevel.ANSWERING: {
            "log": lambda: _log(settings),
            **{name: blocking(probe) for name, probe in _stores(settings, limits).items()},
            "ledger": blocking(lambda: _ledger(settings)),
        },
        CheckLevel.MIGRATED: {
            "log": lambda: _log(settings),
            "store": lambda: _migrated_store(settings, runtime, limits),
            "ledger": blocking(lambda: _migrated_ledger(settings)),
        },
    }


async def _brokers(settings: ClusterSettings) -> str:
    try:
        return await _log(settings)
    except Misconfigured:
        return f"brokers answer; topic {settings.kafka_topic} does not exist yet"


async def _log(settings: ClusterSettings) -> str:
    _, differences = await identify_log(settings)
    return "; ".join(map(str, differences)) or f"topic {settings.kafka_topic} is as it should be"


def _stores(settings: ClusterSettings, limits: EngineLimits) -> Mapping[str, Callable[[], str]]:
    """A probe for each shard."""
    servers = servers_of(settings, limits)
    names = (
        ["store"] if len(servers) == 1 else [f"store, {shard_address(number + 1)}" for number in range(len(servers))]
    )
    return {name: partial(_store, server) for name, server in zip(names, servers, strict=True)}


def _store(server: ClickHousePool) -> str:
    with server:
        ((version,),) = server.database("default").query_rows("SELECT version()")
    return f"ClickHouse {version} answers"


async def _migrated_store(settings: ClusterSettings, runtime: Runtime, limits: EngineLimits) -> str:
    identity, _ = await identify_log(settings)
    with ExitStack() as opened:
        store = opened.enter_context(open_store(settings, identity, limits))
        await check_clock(store.threads, runtime.clock)
    return f"database {settings.clickhouse_database} is migrated, and this machine's clock agrees with the store's"


def _ledger(settings: ClusterSettings) -> str:
    engine = create_engine(settings.ledger_url)
    try:
        with transaction(engine):
            return "its database answers"
    finally:
        engine.dispose()


def _migrated_ledger(settings: ClusterSettings) -> str:
    require_newest(settings.ledger_url)
    return "its database is migrated"
