"""A container where Docker answers, else a process of this machine: the same fixtures, tests that need not know."""

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
    """A ClickHouse server, else our endpoint over chDB with its data in the folder. Whoever kills it has its own."""
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
    """PostgreSQL from its image, else the one that is installed here."""
    with contained() if docker else installed() as server:
        yield server
