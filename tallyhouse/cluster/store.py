"""Opens the usage store of a cluster: over HTTP, shared by many processes, migrated by `migrate` alone."""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from schemas.errors import Misconfigured
from stream_processors.backends.sql.clickhouse_http import ClickHousePool, ServerAddress
from stream_processors.backends.sql.client import AsyncSqlClient, GuardedAsyncSqlClient, SqlClient
from stream_processors.backends.sql.engine_settings import EngineLimits, quorum_settings
from stream_processors.backends.sql.guarded_engine import SqlGuardedEngine, SqlReplicatedEngine
from stream_processors.backends.sql.identity import StoreIdentity, require_identity, shard_address
from stream_processors.backends.sql.migrate import require_migrated
from stream_processors.backends.sql.seen_months import SqlSeenMonths
from stream_processors.backends.sql.set_aside import SqlSetAside, require_set_aside_table
from stream_processors.backends.sql.topology import distributed_database
from stream_processors.backends.sql.watched_client import ServerPing, WatchedSqlClient
from stream_processors.backends.store.guarded import GuardedStore
from stream_processors.backends.store.sharded import ShardedSeenMonths, ShardedStore
from tallyhouse.runtime.cluster_settings import ClusterSettings

MAX_STATEMENTS_PER_SHARD = 8
"""How many statements one process runs on each shard at a time."""

_LIMITS = EngineLimits()

_SHARDS = "SELECT count(DISTINCT shard_num), max(is_local) FROM system.clusters WHERE cluster = {cluster:String}"


class ClusterStore(NamedTuple):
    """The client for queries over all shards, and the ports of the flush and of expiry."""

    threads: AsyncSqlClient
    watched: AsyncSqlClient
    """The same for requests of the API, which do not wait for a store that gives no sign of life."""
    flushes: ShardedStore
    months: ShardedSeenMonths
    set_aside: SqlSetAside
    shards: int

    async def ping(self) -> None:
        """Raises StoreFailed if a shard does not answer."""
        # Each of the first partitions is in a shard of its own.
        await asyncio.gather(*map(self.flushes.progress, range(self.shards)))


@contextmanager
def open_servers(settings: ClusterSettings, limits: EngineLimits = _LIMITS) -> Iterator[Sequence[ClickHousePool]]:
    """A pool for each shard, which connects with its first query."""
    with ExitStack() as opened:
        yield [opened.enter_context(server) for server in servers_of(settings, limits)]


def servers_of(settings: ClusterSettings, limits: EngineLimits = _LIMITS) -> Sequence[ClickHousePool]:
    """A pool for each shard, not entered yet."""
    guarantees = {} if settings.clickhouse_cluster is None else quorum_settings()
    return [ClickHousePool(address, MAX_STATEMENTS_PER_SHARD, limits, guarantees) for address in shards_of(settings)]


@contextmanager
def open_store(
    settings: ClusterSettings, identity: StoreIdentity, limits: EngineLimits = _LIMITS
) -> Iterator[ClusterStore]:
    """Raises Conflict if the store is not migrated, and IdentityChanged if it belongs to another log."""
    database = settings.clickhouse_database
    with open_servers(settings, limits) as servers, ExitStack() as opened:
        anywhere = [server.database("default") for server in servers]
        require_shards(anywhere, settings.clickhouse_cluster)
        require_migrated(anywhere, database)
        require_identity(anywhere, database, identity)
        require_set_aside_table(anywhere[0], database)
        # Each shard has its own threads: a shard that hangs must not occupy those of the others.
        executors = [
            opened.enter_context(ThreadPoolExecutor(MAX_STATEMENTS_PER_SHARD, thread_name_prefix="store"))
            for _ in servers
        ]
        shards = [
            GuardedAsyncSqlClient(server.database(database), threads)
            for server, threads in zip(servers, executors, strict=True)
        ]
        engine = SqlGuardedEngine if settings.clickhouse_cluster is None else SqlReplicatedEngine
        everything = servers[0].database(distributed_database(database) if len(servers) > 1 else database)
        ping = ServerPing([server.address for server in servers])
        yield ClusterStore(
            threads=AsyncSqlClient(everything, executors[0]),
            watched=WatchedSqlClient(everything, executors[0], ping.absent_reason),
            flushes=ShardedStore([GuardedStore(engine(shard)) for shard in shards]),
            months=ShardedSeenMonths([SqlSeenMonths(shard) for shard in shards]),
            set_aside=SqlSetAside(shards[0]),
            shards=len(shards),
        )


def require_shards(clients: Sequence[SqlClient], cluster: str | None) -> None:
    """Raises Misconfigured if the clients are not one server of each shard of the cluster.

    Writers must reach the shard of their partition, and readers all shards.
    """
    if cluster is None:
        return
    errors = []
    for number, client in enumerate(clients, start=1):
        ((shards, is_one_of_them),) = client.query_rows(_SHARDS, {"cluster": cluster})
        if not shards:
            errors.append(
                f"{shard_address(number)} does not have it in its remote_servers: put it there, or name one it has"
            )
        elif shards != len(clients):
            errors.append(f"{shard_address(number)} says it has {shards} shards: name one address for each of them")
        elif not is_one_of_them:
            errors.append(f"{shard_address(number)} is not one of its servers: name one of them for each shard")
    if errors:
        raise Misconfigured([f"TALLYHOUSE_CLICKHOUSE_CLUSTER {cluster!r}: {error}" for error in errors])


def shards_of(settings: ClusterSettings) -> Sequence[ServerAddress]:
    """The addresses of the usage store's servers, in the order of the shards."""
    return [_server(urlsplit(url), settings) for url in settings.clickhouse_url]


def _server(url: SplitResult, settings: ClusterSettings) -> ServerAddress:
    encrypted = url.scheme == "https"
    return ServerAddress(
        host=url.hostname or "",
        port=url.port or (8443 if encrypted else 8123),
        user=settings.clickhouse_user,
        password=settings.clickhouse_password or "",
        encrypted=encrypted,
    )
