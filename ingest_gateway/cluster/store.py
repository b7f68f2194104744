"""The usage store of a cluster, opened: reached over HTTP, shared by many processes, changed by `migrate` alone."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

from ingest_gateway.cluster.addresses import store_of
from ingest_gateway.cluster.settings import ClusterSettings
from schemas.errors import Misconfigured
from stream_processors.backends.sql.client import SqlClient
from stream_processors.backends.sql.guarded import SqlGuardedEngine, SqlReplicatedEngine
from stream_processors.backends.sql.guarded_client import GuardedSqlThreads
from stream_processors.backends.sql.http import HttpServer
from stream_processors.backends.sql.migrate import Identity, require_migrated
from stream_processors.backends.sql.settings import EngineLimits, quorum_settings
from stream_processors.backends.store.guarded import GuardedStore

STATEMENTS = 8
"""How many one process has the store run at a time."""

_LIMITS = EngineLimits()

_SHARDS = "SELECT count(DISTINCT shard_num) FROM system.clusters WHERE cluster = {cluster:String}"


class Store(NamedTuple):
    """Its client, for questions of all kinds, and the ports of the flush."""

    threads: GuardedSqlThreads
    flushes: GuardedStore


@contextmanager
def open_server(settings: ClusterSettings, limits: EngineLimits = _LIMITS) -> Iterator[HttpServer]:
    """Connections are made when they are needed."""
    guarantees = {} if settings.clickhouse_cluster is None else quorum_settings()
    with HttpServer(store_of(settings), STATEMENTS, limits, guarantees) as server:
        yield server


@contextmanager
def open_store(settings: ClusterSettings, identity: Identity, limits: EngineLimits = _LIMITS) -> Iterator[Store]:
    """Raises Conflict where it is not migrated, and IdentityChanged where it belongs to another log."""
    with open_server(settings, limits) as server, ThreadPoolExecutor(STATEMENTS, thread_name_prefix="store") as threads:
        anywhere = server.database("default")
        refuse_shards(anywhere, settings.clickhouse_cluster)
        require_migrated(anywhere, settings.clickhouse_database, identity)
        in_threads = GuardedSqlThreads(server.database(settings.clickhouse_database), threads)
        engine = SqlGuardedEngine if settings.clickhouse_cluster is None else SqlReplicatedEngine
        yield Store(in_threads, GuardedStore(engine(in_threads)))


def refuse_shards(client: SqlClient, cluster: str | None) -> None:
    """A partition's writer must reach the shard that has the partition, and here there is one address for all."""
    if cluster is None:
        return
    ((shards,),) = client.query_rows(_SHARDS, {"cluster": cluster})
    if shards != 1:
        found = "is not in the servers' remote_servers" if not shards else f"has {shards} shards"
        remedy = "name one of a single shard, with any number of replicas"
        raise Misconfigured([f"TALLYHOUSE_CLICKHOUSE_CLUSTER {cluster!r} {found}: {remedy}"])
