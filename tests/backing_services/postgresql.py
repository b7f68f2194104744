"""PostgreSQL for tests: a container, otherwise the installed server on a socket in a temporary folder."""

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import sqlalchemy as sa
from testcontainers.core.container import DockerContainer

from rating.ledger.migrate import migrate
from tallyhouse.local.background_program import ToolMissing
from tallyhouse.local.postgresql import Installed, PostgreSql, find_postgresql
from tests.backing_services.docker import image_of, wait_until_serving
from tests.skips import skip_without


class PostgreSqlServer:
    """A running server, reached through a database that exists from the start."""

    def __init__(self, first: sa.URL) -> None:
        self._first = first
        self._numbers = count()
        self._template: str | None = None

    @property
    def serves(self) -> bool:
        """Whether the server accepts a connection."""
        engine = sa.create_engine(self._first)
        try:
            with engine.connect():
                return True
        except sa.exc.OperationalError:
            return False
        finally:
            engine.dispose()

    def new_database(self) -> str:
        """The URL of an empty database."""
        return self._create("")

    def new_ledger(self) -> str:
        """The URL of a migrated database: a copy of the first one, which saves the time of migrating."""
        if self._template is None:
            url = self.new_database()
            migrate(url)
            self._template = sa.make_url(url).database
        return self._create(f" TEMPLATE {self._template}")

    def _create(self, how: str) -> str:
        name = f"ledger_{next(self._numbers)}"
        engine = sa.create_engine(self._first, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}{how}")
        engine.dispose()
        return self.url_of(name)

    def url_of(self, database: str) -> str:
        return self._first.set(database=database).render_as_string(hide_password=False)


@contextmanager
def started_server() -> Iterator[PostgreSqlServer]:
    """The installed server, stopped and deleted at the end of the context."""
    installed = installed_postgresql()
    with passable_folder() as folder, PostgreSql(folder, installed, options=("-c", "fsync=off")) as running:
        yield PostgreSqlServer(sa.make_url(running.url()))


def installed_postgresql() -> Installed:
    try:
        return find_postgresql(os.environ)
    except ToolMissing as missing:
        skip_without(missing.what, missing.remedy)


@contextmanager
def passable_folder() -> Iterator[Path]:
    """A folder with a short path that another user may enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder) / "data"


PORT = 5432
USER = "tallyhouse"


def variables(password: str) -> dict[str, str]:
    """The environment: the user may create databases, and has one of its own name."""
    return {"POSTGRES_USER": USER, "POSTGRES_PASSWORD": password}


def server_at(host: str, port: int, password: str) -> PostgreSqlServer:
    return PostgreSqlServer(sa.URL.create("postgresql+psycopg", USER, password, host, port, USER))


@contextmanager
def postgresql() -> Iterator[PostgreSqlServer]:
    """A PostgreSQL server in a container, for the duration of the context."""
    password = secrets.token_hex(8)
    container = DockerContainer(image_of("postgres")).with_exposed_ports(PORT)
    for name, value in variables(password).items():
        container.with_env(name, value)
    with container:
        server = server_at(container.get_container_host_ip(), int(container.get_exposed_port(PORT)), password)
        # While the image initializes itself, its server listens only inside: an answer comes from the final server.
        wait_until_serving(container, lambda: server.serves)
        yield server
