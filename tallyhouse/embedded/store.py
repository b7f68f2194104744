"""The usage store in the worker: the engine, the HTTP server for the gateway, and the port for ClickHouse clients."""

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from ingest_gateway.ports import ApiKeys
from schemas.account import Mode, Scope
from stream_processors.backends.sql.chdb import Chdb
from stream_processors.backends.sql.chdb_statements import ChdbStatements, EngineStatement
from stream_processors.backends.sql.client import AsyncSqlClient
from stream_processors.backends.sql.engine_settings import EngineLimits
from stream_processors.backends.sql.identity import StoreIdentity, check_identity, stored_identity
from stream_processors.backends.sql.migrate import migrate
from stream_processors.clickhouse_server.app import Access, CallerCheck, ServerContext, create_app
from stream_processors.clickhouse_server.authentication import password_check, refuse_password, require_password
from stream_processors.clickhouse_server.bodies import BodyLimits, open_spool
from stream_processors.clickhouse_server.full_access import FullAccess
from stream_processors.clickhouse_server.function_catalogue import read_catalogue
from stream_processors.clickhouse_server.readonly_access import ReadOnlyAccess
from stream_processors.clickhouse_server.request import Caller
from stream_processors.clickhouse_server.server import run_server
from tallyhouse.embedded.store_client import DATABASE, MAX_QUERIES
from tallyhouse.runtime.connection_limits import HttpLimits
from tallyhouse.runtime.data_directory import DataDirectory
from tallyhouse.runtime.http_server import connections_within
from tallyhouse.runtime.write_wall import wall_off

_MAX_FLUSH_STATEMENTS = 6
"""Concurrent statements of flushes, backfills and expiry."""
_MAX_CLIENT_STATEMENTS = 2
"""Concurrent statements of ClickHouse clients; others wait, because the flushes need the machine too."""

_LIMITS = EngineLimits()
# ClickHouse takes URLs of a mebibyte, and its clients put parameters there. Only programs of this machine connect.
_HTTP_LIMITS = HttpLimits(connections=256, connections_per_address=256, url_bytes=1 << 20)
_CLIENT_BODY_LIMITS = BodyLimits(memory=1 << 20, stored=1 << 20, decoded=1 << 20)


@contextmanager
def open_store(directory: DataDirectory, identity: StoreIdentity) -> Iterator[AsyncSqlClient]:
    """Opens the engine in this process and migrates it. Raises IdentityChanged if the store is of another log."""
    with open_any_store(directory, lambda _: identity) as (_, store):
        yield store


@contextmanager
def open_any_store(
    directory: DataDirectory, identity_of: Callable[[StoreIdentity | None], StoreIdentity]
) -> Iterator[tuple[StoreIdentity, AsyncSqlClient]]:
    """The same for an identity that follows from the stored one, if there is one."""
    with (
        Chdb(directory.store, _MAX_FLUSH_STATEMENTS, _LIMITS) as engine,
        ThreadPoolExecutor(_MAX_FLUSH_STATEMENTS, thread_name_prefix="store") as threads,
    ):
        client = engine.database("default")
        migrate(client, DATABASE)
        identity = identity_of(stored_identity(client, DATABASE))
        check_identity([client], DATABASE, identity)
        yield identity, AsyncSqlClient(engine.database(DATABASE), threads)


@asynccontextmanager
async def serve_gateway_queries(
    directory: DataDirectory, listener: socket.socket, password: str
) -> AsyncIterator[None]:
    """Serves every statement of the gateway, the only client that has the password. Needs an open store."""
    with (
        open_spool(directory.path) as spool,
        ChdbStatements(directory.store, _LIMITS) as engine,
        ThreadPoolExecutor(MAX_QUERIES, thread_name_prefix="question") as threads,
    ):
        access = FullAccess(engine, spool, _LIMITS.statement_seconds)
        server = _engine_server(engine, access, password_check(password), threads, spool, BodyLimits())
        async with run_server(create_app(server), listener, connections_within(_HTTP_LIMITS)):
            yield


@asynccontextmanager
async def open_clickhouse_port(
    listener: socket.socket | None, directory: DataDirectory, api_keys: ApiKeys, clock: Callable[[], int]
) -> AsyncIterator[None]:
    """Serves ClickHouse clients such as Grafana, read-only; nothing if the port is off. Needs an open store.

    The threads that run the statements can write to the store's folder alone, whatever a statement asks for: the engine
    may merge parts in a thread that one of them has started.
    """
    if listener is None:
        yield
        return
    async with AsyncExitStack() as opened:
        engine = opened.enter_context(ChdbStatements(directory.store, EngineLimits()))
        threads = opened.enter_context(
            ThreadPoolExecutor(
                _MAX_CLIENT_STATEMENTS,
                thread_name_prefix="clickhouse-port",
                initializer=wall_off,
                initargs=([directory.store],),
            )
        )
        access = ReadOnlyAccess(engine, read_catalogue(engine))
        check_caller = _admin_check(api_keys, clock)
        server = _engine_server(engine, access, check_caller, threads, directory.path, _CLIENT_BODY_LIMITS)
        await opened.enter_async_context(run_server(create_app(server), listener, connections_within(_HTTP_LIMITS)))
        yield


def _admin_check(api_keys: ApiKeys, clock: Callable[[], int]) -> CallerCheck:
    # The password is a live key with the admin scope, because this port opens the rows of all accounts.
    async def check_caller(caller: Caller) -> None:
        key = await api_keys.find(require_password(caller))
        if key is None or not key.is_valid(clock()) or key.mode is not Mode.LIVE or not key.allows(Scope.ADMIN):
            raise refuse_password()

    return check_caller


def _engine_server(
    engine: ChdbStatements,
    access: Access,
    check_caller: CallerCheck,
    threads: ThreadPoolExecutor,
    spool: Path,
    limits: BodyLimits,
) -> ServerContext:
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
