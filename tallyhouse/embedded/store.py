"""The usage store, in the worker: the engine in this process, and the door at which the gateway asks."""

import socket
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from stream_processors.backends.sql.chdb import Chdb
from stream_processors.backends.sql.chdb_statements import ChdbStatements, EngineStatement
from stream_processors.backends.sql.client import AsyncSqlClient
from stream_processors.backends.sql.engine_settings import EngineLimits
from stream_processors.backends.sql.identity import StoreIdentity, check_identity
from stream_processors.backends.sql.migrate import migrate
from stream_processors.clickhouse_server.app import Access, CallerCheck, ServerContext, create_app
from stream_processors.clickhouse_server.authentication import password_check
from stream_processors.clickhouse_server.bodies import BodyLimits, open_spool
from stream_processors.clickhouse_server.full_access import FullAccess
from stream_processors.clickhouse_server.server import run_server
from tallyhouse.embedded.store_client import DATABASE, MAX_QUERIES
from tallyhouse.runtime.data_directory import DataDirectory

MAX_FLUSH_STATEMENTS = 6
"""How many statements the flushes have under way: those of some partitions, and of what goes on beside them."""

_LIMITS = EngineLimits()


@contextmanager
def open_store(directory: DataDirectory, identity: StoreIdentity) -> Iterator[AsyncSqlClient]:
    """In the process that has the engine: migrated, and the store of this log and no other."""
    with (
        Chdb(directory.store, MAX_FLUSH_STATEMENTS, _LIMITS) as engine,
        ThreadPoolExecutor(MAX_FLUSH_STATEMENTS, thread_name_prefix="store") as threads,
    ):
        client = engine.database("default")
        migrate(client, DATABASE)
        check_identity([client], DATABASE, identity)
        yield AsyncSqlClient(engine.database(DATABASE), threads)


@asynccontextmanager
async def serve_gateway_queries(
    directory: DataDirectory, listener: socket.socket, password: str
) -> AsyncIterator[None]:
    """Whatever it asks, for it alone has the password."""
    with (
        open_spool(directory.path) as spool,
        ChdbStatements(directory.store, _LIMITS) as engine,
        ThreadPoolExecutor(MAX_QUERIES, thread_name_prefix="question") as threads,
    ):
        access = FullAccess(engine, spool, _LIMITS.statement_seconds)
        limits = BodyLimits()
        server = engine_server(engine, access, password_check(password), threads, spool, limits)
        async with run_server(create_app(server), listener):
            yield


def engine_server(
    engine: ChdbStatements,
    access: Access,
    check_caller: CallerCheck,
    threads: ThreadPoolExecutor,
    spool: Path,
    limits: BodyLimits,
) -> ServerContext:
    """An endpoint over the engine of this process."""
    version, timezone = engine.run(EngineStatement(text="SELECT version(), timezone()")).body.decode().split()
    return ServerContext(
        access=access,
        check_caller=check_caller,
        database=DATABASE,
        threads=threads,
        spool=spool,
        limits=limits,
        version=version,
        timezone=timezone,
        name="tallyhouse",
    )
