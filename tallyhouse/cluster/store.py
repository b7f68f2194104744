"""The usage store of a cluster, opened: reached over HTTP, shared by many processes, changed by `migrate` alone."""

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
from stream_processors.backends.sql.topology import distributed_database
from stream_processors.backends.store.guarded import GuardedStore
from stream_processors.backends.store.sharded import ShardedSeenMonths, ShardedStore
from tallyhouse.runtime.cluster_settings import ClusterSettings

MAX_STATEMENTS_PER_SHARD = 8
"""How many one process has each shard run at a time."""

_LIMITS = EngineLimits()

_SHARDS = "SELECT count(DISTINCT shard_num), max(is_local) FROM system.clusters WHERE cluster = {cluster:String}"


class ClusterStore(NamedTuple):
    """Its client for questions about all of it, and the ports of the flush and of expiry."""

    threads: AsyncSqlClient
    flushes: ShardedStore
    months: ShardedSeenMonths
    shards: int

    async def ping(self) -> None:
        """Raises StoreFailed where a shard does not."""
        # The first partitions are in one shard each.
        await asyncio.gather(*map(self.flushes.progress, range(self.shards)))


@contextmanager
def open_servers(settings: ClusterSettings, limits: EngineLimits = _LIMITS) -> Iterator[Sequence[ClickHousePool]]:
    """One for each shard. Connections are made when they are needed."""
    with ExitStack() as opened:
        yield [opened.enter_context(server) for server in servers_of(settings, limits)]


def servers_of(settings: ClusterSettings, limits: EngineLimits = _LIMITS) -> Sequence[ClickHousePool]:
    """One for each shard, to be entered."""
    guarantees = {} if settings.clickhouse_cluster is None else quorum_settings()
    return [ClickHousePool(address, MAX_STATEMENTS_PER_SHARD, limits, guarantees) for address in shards_of(settings)]


@contextmanager
def open_store(
    settings: ClusterSettings, identity: StoreIdentity, limits: EngineLimits = _LIMITS
) -> Iterator[ClusterStore]:
    """Raises Conflict where it is not migrated, and IdentityChanged where it belongs to another log."""
    database = settings.clickhouse_database
    with open_servers(settings, limits) as servers, ExitStack() as opened:
        anywhere = [server.database("default") for server in servers]
        require_shards(anywhere, settings.clickhouse_cluster)
        require_migrated(anywhere, database)
        require_identity(anywhere, database, identity)
        # Threads of its own for each: those that wait for a shard that hangs are missed by no other.
        executors = [
            opened.enter_context(ThreadPoolExecutor(MAX_STATEMENTS_PER_SHARD, thread_name_prefix="store"))
            for _ in servers
        ]
        shards = [
            GuardedAsyncSqlClient(server.database(database), threads)
            for server, threads in zip(servers, executors, strict=True)
        ]
        engine = SqlGuardedEngine if settings.clickhouse_cluster is None else SqlReplicatedEngine
        yield ClusterStore(
            threads=_reading(servers[0], database, executors[0]) if len(servers) > 1 else shards[0],
            flushes=ShardedStore([GuardedStore(engine(shard)) for shard in shards]),
            months=ShardedSeenMonths([SqlSeenMonths(shard) for shard in shards]),
            shards=len(shards),
        )


def _reading(server: ClickHousePool, database: str, threads: ThreadPoolExecutor) -> AsyncSqlClient:
    """Any one server answers for all."""
    return AsyncSqlClient(server.database(distributed_database(database)), threads)


def require_shards(clients: Sequence[SqlClient], cluster: str | None) -> None:
    """A partition's writer must reach the shard that has the partition, and readers all of them."""
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
        raise Misconfigured([f"TALLYHOUSE_CLICKHOUSE_CLUSTER {cluster!r}: {mistake}" for mistake in errors])


def shards_of(settings: ClusterSettings) -> Sequence[ServerAddress]:
    """The usage store's, in the order of the shards."""
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
