"""The usage store of the embedded process for ClickHouse clients and Grafana: read-only, on the loopback interface."""

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager

from ingest_gateway.data_directory import DataDirectory
from ingest_gateway.embedded import DATABASE
from ingest_gateway.ports import ApiKeys
from ingest_gateway.settings import Settings
from schemas.account import Mode, Scope
from schemas.errors import Misconfigured
from stream_processors.backends.sql.chdb_statements import ChdbStatements, Statement
from stream_processors.backends.sql.settings import EngineLimits
from stream_processors.endpoint.admission import refuse_password, require_password
from stream_processors.endpoint.app import Admission, Served, create_app
from stream_processors.endpoint.asking import Caller
from stream_processors.endpoint.bodies import BodyLimits
from stream_processors.endpoint.catalogue import read_catalogue
from stream_processors.endpoint.readonly import ReadOnly
from stream_processors.endpoint.serving import HOST, listening, serving

STATEMENTS = 2
"""At a time; others wait. The flushes need the machine too."""

_BODIES = BodyLimits(memory=1 << 20, stored=1 << 20, decoded=1 << 20)


@contextmanager
def clickhouse_listening(settings: Settings) -> Iterator[socket.socket | None]:
    """Taken before anything is opened; None where the port is off."""
    port = settings.clickhouse_port
    if port is None:
        yield None
        return
    with ExitStack() as opened:
        try:
            listener = opened.enter_context(listening(port))
        except OSError as error:
            what = f"cannot listen on {HOST} port {port}: {error.strerror or error}"
            how = "stop what uses it, or name another with TALLYHOUSE_CLICKHOUSE_PORT"
            raise Misconfigured([f"{what}; {how}"]) from error
        yield listener


@asynccontextmanager
async def open_clickhouse_port(
    listener: socket.socket | None, settings: Settings, api_keys: ApiKeys, clock: Callable[[], int]
) -> AsyncIterator[None]:
    """Answers until the end; nothing where the port is off. The usage store is open already, and stays so."""
    if listener is None:
        yield
        return
    directory = DataDirectory(settings.data_dir)
    async with AsyncExitStack() as opened:
        engine = opened.enter_context(ChdbStatements(directory.store, EngineLimits()))
        threads = opened.enter_context(ThreadPoolExecutor(STATEMENTS, thread_name_prefix="clickhouse-port"))
        version, timezone = engine.run(Statement(text="SELECT version(), timezone()")).body.decode().split()
        served = Served(
            access=ReadOnly(engine, read_catalogue(engine)),
            admit=admins_of(api_keys, clock),
            database=DATABASE,
            threads=threads,
            spool=settings.data_dir,
            limits=_BODIES,
            version=version,
            timezone=timezone,
            name="tallyhouse",
        )
        await opened.enter_async_context(serving(create_app(served), listener))
        yield


def admins_of(api_keys: ApiKeys, clock: Callable[[], int]) -> Admission:
    """The password is a live key with the admin scope: what can be read here are the rows of all accounts."""

    async def admit(caller: Caller) -> None:
        key = await api_keys.find(require_password(caller))
        if key is None or not key.is_good(clock()) or key.mode is not Mode.LIVE or not key.may(Scope.ADMIN):
            raise refuse_password()

    return admit
