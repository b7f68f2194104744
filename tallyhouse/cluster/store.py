"""The usage store of a cluster, opened: reached over HTTP, shared by many processes, changed by `migrate` alone."""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from schemas.errors import Misconfigured
from stream_processors.backends.sql.clickhouse_http import HttpServer
from stream_processors.backends.sql.client import SqlClient, SqlThreads
from stream_processors.backends.sql.engine_settings import EngineLimits, quorum_settings
from stream_processors.backends.sql.guarded_client import GuardedSqlThreads
from stream_processors.backends.sql.guarded_engine import SqlGuardedEngine, SqlReplicatedEngine
from stream_processors.backends.sql.identity import Identity, require_identity, where
from stream_processors.backends.sql.migrate import require_migrated
from stream_processors.backends.sql.seen_months import SqlSeenMonths
from stream_processors.backends.sql.topology import reading_database
from stream_processors.backends.store.guarded import GuardedStore
from stream_processors.backends.store.sharded import ShardedSeenMonths, ShardedStore
from tallyhouse.cluster.addresses import shards_of
from tallyhouse.runtime.cluster_settings import ClusterSettings

STATEMENTS = 8
"""How many one process has each shard run at a time."""

_LIMITS = EngineLimits()

_SHARDS = "SELECT count(DISTINCT shard_num), max(is_local) FROM system.clusters WHERE cluster = {cluster:String}"


class Store(NamedTuple):
    """Its client for questions about all of it, and the ports of the flush and of expiry."""

    threads: SqlThreads
    flushes: ShardedStore
    months: ShardedSeenMonths
    shards: int

    async def answer(self) -> None:
        """Raises StoreFailed where a shard does not."""
        # The first partitions are in one shard each.
        await asyncio.gather(*map(self.flushes.progress, range(self.shards)))


@contextmanager
def open_servers(settings: ClusterSettings, limits: EngineLimits = _LIMITS) -> Iterator[Sequence[HttpServer]]:
    """One for each shard. Connections are made when they are needed."""
    with ExitStack() as opened:
        yield [opened.enter_context(server) for server in servers_of(settings, limits)]


def servers_of(settings: ClusterSettings, limits: EngineLimits = _LIMITS) -> Sequence[HttpServer]:
    """One for each shard, to be entered."""
    guarantees = {} if settings.clickhouse_cluster is None else quorum_settings()
    return [HttpServer(address, STATEMENTS, limits, guarantees) for address in shards_of(settings)]


@contextmanager
def open_store(settings: ClusterSettings, identity: Identity, limits: EngineLimits = _LIMITS) -> Iterator[Store]:
    """Raises Conflict where it is not migrated, and IdentityChanged where it belongs to another log."""
    database = settings.clickhouse_database
    with open_servers(settings, limits) as servers, ExitStack() as opened:
        anywhere = [server.database("default") for server in servers]
        require_shards(anywhere, settings.clickhouse_cluster)
        require_migrated(anywhere, database)
        require_identity(anywhere, database, identity)
        # Threads of its own for each: those that wait for a shard that hangs are missed by no other.
        executors = [opened.enter_context(ThreadPoolExecutor(STATEMENTS, thread_name_prefix="store")) for _ in servers]
        shards = [
            GuardedSqlThreads(server.database(database), threads)
            for server, threads in zip(servers, executors, strict=True)
        ]
        engine = SqlGuardedEngine if settings.clickhouse_cluster is None else SqlReplicatedEngine
        yield Store(
            threads=_reading(servers[0], database, executors[0]) if len(servers) > 1 else shards[0],
            flushes=ShardedStore([GuardedStore(engine(shard)) for shard in shards]),
            months=ShardedSeenMonths([SqlSeenMonths(shard) for shard in shards]),
            shards=len(shards),
        )


def _reading(server: HttpServer, database: str, threads: ThreadPoolExecutor) -> SqlThreads:
    """Any one server answers for all."""
    return SqlThreads(server.database(reading_database(database)), threads)


def require_shards(clients: Sequence[SqlClient], cluster: str | None) -> None:
    """A partition's writer must reach the shard that has the partition, and readers all of them."""
    if cluster is None:
        return
    mistakes = []
    for number, client in enumerate(clients, start=1):
        ((shards, is_one_of_them),) = client.query_rows(_SHARDS, {"cluster": cluster})
        if not shards:
            mistakes.append(f"{where(number)} does not have it in its remote_servers: put it there, or name one it has")
        elif shards != len(clients):
            mistakes.append(f"{where(number)} says it has {shards} shards: name one address for each of them")
        elif not is_one_of_them:
            mistakes.append(f"{where(number)} is not one of its servers: name one of them for each shard")
    if mistakes:
        raise Misconfigured([f"TALLYHOUSE_CLICKHOUSE_CLUSTER {cluster!r}: {mistake}" for mistake in mistakes])
