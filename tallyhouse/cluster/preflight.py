"""`--check`: are the settings good, and does everything they name answer; changes nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from enum import StrEnum
from functools import partial

from rating.ledger.engine import create_engine, transaction
from rating.ledger.migrate import require_newest
from schemas.errors import Misconfigured, TallyhouseError
from schemas.timestamps import SECOND
from stream_processors.backends.sql.clickhouse_http import HttpServer
from stream_processors.backends.sql.engine_settings import EngineLimits
from stream_processors.backends.sql.identity import where
from tallyhouse.cluster.clock_skew import check_clock
from tallyhouse.cluster.connections import identify
from tallyhouse.cluster.startup import begin
from tallyhouse.cluster.store import open_store, servers_of
from tallyhouse.runtime.cluster_settings import ClusterSettings
from tallyhouse.runtime.context import Surroundings

Trial = Callable[[], Awaitable[str]]


class Depth(StrEnum):
    """How far a command needs the others to be."""

    BROKERS = "brokers"
    """Kafka answers."""
    ANSWERING = "answering"
    """The topic is there, and all others answer."""
    MIGRATED = "migrated"
    """All have what `topics create` and `migrate` make."""


def run_check(depth: Depth) -> Sequence[str]:
    """A line for each part. Raises Misconfigured with all that is wrong."""
    settings, around = begin()
    return asyncio.run(_tried(_trials(settings, around)[depth], settings.connect_timeout / SECOND))


async def _tried(trials: Mapping[str, Trial], seconds: float) -> Sequence[str]:
    outcomes = await asyncio.gather(*(_outcome(name, trial, seconds) for name, trial in trials.items()))
    mistakes = [mistake for _, mistake in outcomes if mistake]
    if mistakes:
        raise Misconfigured(mistakes)
    return [line for line, _ in outcomes]


async def _outcome(name: str, trial: Trial, seconds: float) -> tuple[str, str]:
    """What to say of it where it is well, and where it is not."""
    try:
        async with asyncio.timeout(seconds):
            return f"{name}: {await trial()}", ""
    except TimeoutError:
        return "", f"{name}: no answer within {seconds:g} s (TALLYHOUSE_CONNECT_TIMEOUT)"
    except TallyhouseError as error:
        return "", f"{name}: {error}"


def _trials(settings: ClusterSettings, around: Surroundings) -> Mapping[Depth, Mapping[str, Trial]]:
    # In threads: whoever does not answer must not keep the others from being asked.
    def blocking(trial: Callable[[], str]) -> Trial:
        return lambda: asyncio.to_thread(trial)

    return {
        Depth.BROKERS: {"log": lambda: _brokers(settings)},
        Depth.ANSWERING: {
            "log": lambda: _log(settings),
            **{name: blocking(trial) for name, trial in _stores(settings).items()},
            "ledger": blocking(lambda: _ledger(settings)),
        },
        Depth.MIGRATED: {
            "log": lambda: _log(settings),
            "store": lambda: _migrated_store(settings, around),
            "ledger": blocking(lambda: _migrated_ledger(settings)),
        },
    }


async def _brokers(settings: ClusterSettings) -> str:
    try:
        return await _log(settings)
    except Misconfigured:
        return f"brokers answer; topic {settings.kafka_topic} is not there yet"


async def _log(settings: ClusterSettings) -> str:
    _, differences = await identify(settings)
    return "; ".join(map(str, differences)) or f"topic {settings.kafka_topic} is as it should be"


def _stores(settings: ClusterSettings) -> Mapping[str, Callable[[], str]]:
    """Each shard on its own."""
    servers = servers_of(settings, _limits(settings))
    names = ["store"] if len(servers) == 1 else [f"store, {where(number + 1)}" for number in range(len(servers))]
    return {name: partial(_store, server) for name, server in zip(names, servers, strict=True)}


def _store(server: HttpServer) -> str:
    with server:
        ((version,),) = server.database("default").query_rows("SELECT version()")
    return f"ClickHouse {version} answers"


async def _migrated_store(settings: ClusterSettings, around: Surroundings) -> str:
    identity, _ = await identify(settings)
    with ExitStack() as opened:
        opening = open_store(settings, identity, _limits(settings))
        store = await asyncio.to_thread(opened.enter_context, opening)
        await check_clock(store.threads, around.clock)
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
