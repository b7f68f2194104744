"""The usage store, in the worker: the engine in this process, and the door at which the gateway asks."""

import socket
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from stream_processors.backends.sql.chdb import Chdb
from stream_processors.backends.sql.chdb_statements import ChdbStatements, Statement
from stream_processors.backends.sql.client import SqlThreads
from stream_processors.backends.sql.engine_settings import EngineLimits
from stream_processors.backends.sql.identity import Identity, check_identity
from stream_processors.backends.sql.migrate import migrate
from stream_processors.clickhouse_server.app import Access, Admission, Served, create_app
from stream_processors.clickhouse_server.authentication import by_password
from stream_processors.clickhouse_server.bodies import BodyLimits, open_spool
from stream_processors.clickhouse_server.full_access import Whole
from stream_processors.clickhouse_server.server import serving
from tallyhouse.embedded.store_client import ASKING, DATABASE
from tallyhouse.runtime.data_directory import DataDirectory

FLUSHING = 6
"""How many statements the flushes have under way: those of some partitions, and of what goes on beside them."""

_LIMITS = EngineLimits()


@contextmanager
def own_store(directory: DataDirectory, identity: Identity) -> Iterator[SqlThreads]:
    """In the process that has the engine: migrated, and the store of this log and no other."""
    with (
        Chdb(directory.store, FLUSHING, _LIMITS) as engine,
        ThreadPoolExecutor(FLUSHING, thread_name_prefix="store") as threads,
    ):
        client = engine.database("default")
        migrate(client, DATABASE)
        check_identity([client], DATABASE, identity)
        yield SqlThreads(engine.database(DATABASE), threads)


@asynccontextmanager
async def answering_the_gateway(
    directory: DataDirectory, listener: socket.socket, password: str
) -> AsyncIterator[None]:
    """Whatever it asks, for it alone has the password."""
    with (
        open_spool(directory.path) as spool,
        ChdbStatements(directory.store, _LIMITS) as engine,
        ThreadPoolExecutor(ASKING, thread_name_prefix="question") as threads,
    ):
        access = Whole(engine, spool, _LIMITS.statement_seconds)
        limits = BodyLimits()
        served = served_by(engine, access, by_password(password), threads, spool, limits)
        async with serving(create_app(served), listener):
            yield


def served_by(
    engine: ChdbStatements,
    access: Access,
    admit: Admission,
    threads: ThreadPoolExecutor,
    spool: Path,
    limits: BodyLimits,
) -> Served:
    """An endpoint over the engine of this process."""
    version, timezone = engine.run(Statement(text="SELECT version(), timezone()")).body.decode().split()
    return Served(
        access=access,
        admit=admit,
        database=DATABASE,
        threads=threads,
        spool=spool,
        limits=limits,
        version=version,
        timezone=timezone,
        name="tallyhouse",
    )
