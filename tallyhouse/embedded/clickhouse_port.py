"""The usage store of embedded mode for ClickHouse clients and Grafana: read-only, on the loopback interface."""

import socket
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager

from ingest_gateway.ports import ApiKeys
from schemas.account import Mode, Scope
from stream_processors.backends.sql.chdb_statements import ChdbStatements
from stream_processors.backends.sql.engine_settings import EngineLimits
from stream_processors.clickhouse_server.app import CallerCheck, create_app
from stream_processors.clickhouse_server.authentication import refuse_password, require_password
from stream_processors.clickhouse_server.bodies import BodyLimits
from stream_processors.clickhouse_server.function_catalogue import read_catalogue
from stream_processors.clickhouse_server.readonly_access import ReadOnlyAccess
from stream_processors.clickhouse_server.request import Caller
from stream_processors.clickhouse_server.server import run_server
from tallyhouse.embedded.store import engine_server
from tallyhouse.runtime.data_directory import DataDirectory

MAX_STATEMENTS = 2
"""At a time; others wait. The flushes need the machine too."""

_BODY_LIMITS = BodyLimits(memory=1 << 20, stored=1 << 20, decoded=1 << 20)


@asynccontextmanager
async def open_clickhouse_port(
    listener: socket.socket | None, directory: DataDirectory, api_keys: ApiKeys, clock: Callable[[], int]
) -> AsyncIterator[None]:
    """Answers until the end; nothing where the port is off. The usage store is open already, and stays so."""
    if listener is None:
        yield
        return
    async with AsyncExitStack() as opened:
        engine = opened.enter_context(ChdbStatements(directory.store, EngineLimits()))
        threads = opened.enter_context(ThreadPoolExecutor(MAX_STATEMENTS, thread_name_prefix="clickhouse-port"))
        access = ReadOnlyAccess(engine, read_catalogue(engine))
        server = engine_server(engine, access, admit_admins(api_keys, clock), threads, directory.path, _BODY_LIMITS)
        await opened.enter_async_context(run_server(create_app(server), listener))
        yield


def admit_admins(api_keys: ApiKeys, clock: Callable[[], int]) -> CallerCheck:
    """The password is a live key with the admin scope: what can be read here are the rows of all accounts."""

    async def check_caller(caller: Caller) -> None:
        key = await api_keys.find(require_password(caller))
        if key is None or not key.is_valid(clock()) or key.mode is not Mode.LIVE or not key.allows(Scope.ADMIN):
            raise refuse_password()

    return check_caller
