"""A PostgreSQL server of one's own: on a socket in a temporary folder, gone when the tests are."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import sqlalchemy as sa

from ingest_gateway.cluster.kafka_jars import ToolMissing
from ingest_gateway.local.postgresql import Installed, PostgreSql, find_postgresql
from tests.skips import skip_without


class Server:
    """A running server, with as many databases as one likes."""

    def __init__(self, running: PostgreSql) -> None:
        self._running = running
        self._numbers = count()

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"ledger_{next(self._numbers)}"
        engine = sa.create_engine(self._running.url(), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return self._running.url(name)


@contextmanager
def started_server() -> Iterator[Server]:
    installed = installed_postgresql()
    with passable_folder() as folder, PostgreSql(folder, installed, options=("-c", "fsync=off")) as running:
        yield Server(running)


def installed_postgresql() -> Installed:
    try:
        return find_postgresql(os.environ)
    except ToolMissing as missing:
        skip_without(missing.what, missing.remedy)


@contextmanager
def passable_folder() -> Iterator[Path]:
    """One with a short path, into which another user may go: pytest's are neither."""
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder) / "data"
