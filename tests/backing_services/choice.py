"""Chooses a container where Docker answers, otherwise a process of this machine; tests use the same fixtures."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from stream_processors.backends.sql.clickhouse_http import ServerAddress
from tests.backing_services.clickhouse import clickhouse
from tests.backing_services.postgresql import PostgreSqlServer, postgresql, started_server
from tests.backing_services.store_process import StoreProcess

Stores = Callable[[], AbstractContextManager[ServerAddress]]
LedgerServers = Callable[[], AbstractContextManager[PostgreSqlServer]]


@contextmanager
def best_store(folder: Path, *, docker: bool, contained: Stores = clickhouse) -> Iterator[ServerAddress]:
    """A ClickHouse server, otherwise the embedded server with its data in the folder. It must not be killed."""
    if docker:
        with contained() as address:
            yield address
        return
    with StoreProcess(folder) as process:
        yield process.address


@contextmanager
def best_ledger_server(
    *, docker: bool, contained: LedgerServers = postgresql, installed: LedgerServers = started_server
) -> Iterator[PostgreSqlServer]:
    """PostgreSQL from its image, otherwise the installed one."""
    with contained() if docker else installed() as server:
        yield server
