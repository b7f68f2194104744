"""`--check`: reports whether the settings are valid and every server that they name answers; changes nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from enum import StrEnum
from functools import partial

from rating.ledger.engine import create_engine, transaction
from rating.ledger.migrate import require_newest
from schemas.errors import Misconfigured, TallyhouseError
from schemas.timestamps import SECOND
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


def run_check(level: CheckLevel) -> Sequence[str]:
    """A line for each server. Raises Misconfigured with all faults found."""
    settings, runtime = start_process()
    return asyncio.run(_run_probes(_probes(settings, runtime)[level], settings.connect_timeout / SECOND))


async def _run_probes(probes: Mapping[str, Probe], seconds: float) -> Sequence[str]:
    outcomes = await asyncio.gather(*(_run_probe(name, probe, seconds) for name, probe in probes.items()))
    errors = [error for _, error in outcomes if error]
    if errors:
        raise Misconfigured(errors)
    return [line for line, _ in outcomes]


async def _run_probe(name: str, probe: Probe, seconds: float) -> tuple[str, str]:
    """The line for a server that passes, and the error for one that does not; one of them is empty."""
    try:
        async with asyncio.timeout(seconds):
            return f"{name}: {await probe()}", ""
    except TimeoutError:
        return "", f"{name}: no answer within {seconds:g} s (TALLYHOUSE_CONNECT_TIMEOUT)"
    except TallyhouseError as error:
        return "", f"{name}: {error}"


def _probes(settings: ClusterSettings, runtime: Runtime) -> Mapping[CheckLevel, Mapping[str, Probe]]:
    # In threads: a server that does not answer must not delay the probes of the others.
    def blocking(probe: Callable[[], str]) -> Probe:
        return lambda: asyncio.to_thread(probe)

    return {
        CheckLevel.BROKERS: {"log": lambda: _brokers(settings)},
        CheckLevel.ANSWERING: {
            "log": lambda: _log(settings),
            **{name: blocking(probe) for name, probe in _stores(settings).items()},
            "ledger": blocking(lambda: _ledger(settings)),
        },
        CheckLevel.MIGRATED: {
            "log": lambda: _log(settings),
            "store": lambda: _migrated_store(settings, runtime),
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


def _stores(settings: ClusterSettings) -> Mapping[str, Callable[[], str]]:
    """A probe for each shard."""
    servers = servers_of(settings, _limits(settings))
    names = (
        ["store"] if len(servers) == 1 else [f"store, {shard_address(number + 1)}" for number in range(len(servers))]
    )
    return {name: partial(_store, server) for name, server in zip(names, servers, strict=True)}


def _store(server: ClickHousePool) -> str:
    with server:
        ((version,),) = server.database("default").query_rows("SELECT version()")
    return f"ClickHouse {version} answers"


async def _migrated_store(settings: ClusterSettings, runtime: Runtime) -> str:
    identity, _ = await identify_log(settings)
    with ExitStack() as opened:
        opening = open_store(settings, identity, _limits(settings))
        store = await asyncio.to_thread(opened.enter_context, opening)
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


def _limits(settings: ClusterSettings) -> EngineLimits:
    return EngineLimits(statement_seconds=max(settings.connect_timeout // SECOND, 1))
