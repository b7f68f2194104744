"""A PostgreSQL server of one's own: on a socket in a temporary folder, gone when the tests are."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import sqlalchemy as sa

from tests.skips import skip_without

REMEDY = "apt-get install postgresql"


class Server:
    """A running server, reached through the socket in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"ledger_{next(self._numbers)}"
        engine = sa.create_engine(self._url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return self._url(name)

    def _url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={self._folder}"


@contextmanager
def started_server() -> Iterator[Server]:
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    user = _unprivileged()
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    uid = None if user is None else user.pw_uid
    data = folder / "data"
    _run(uid, programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C")
    options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off -c max_connections=50"
    _run(uid, programs / "pg_ctl", "-D", data, "-w", "-t", "60", "-l", folder / "log", "-o", options, "start")
    try:
        yield Server(folder)
    finally:
        _run(uid, programs / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder)


def _programs() -> Path:
    """Where Debian puts the server's programs; the newest where there are several."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        skip_without("the PostgreSQL server", REMEDY)
    return found[-1].parent


def _unprivileged() -> pwd.struct_passwd | None:
    """The server refuses to run as root: then it runs as the user its package made."""
    return pwd.getpwnam("postgres") if os.geteuid() == 0 else None


def _run(uid: int | None, *command: object) -> None:
    words = [str(word) for word in command]
    # Output goes to a file, not a pipe: the server would inherit the pipe and hold it open for ever.
    with tempfile.TemporaryFile() as said:
        done = subprocess.run(words, user=uid, stdout=said, stderr=said, cwd="/", check=False)
        said.seek(0)
        assert done.returncode == 0, said.read().decode()
