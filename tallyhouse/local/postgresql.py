"""A private PostgreSQL server: its data in one folder, reached through a socket there, never over the network."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from schemas.errors import Misconfigured
from tallyhouse.local.background_program import BackgroundProgram, ProgramFailed, ToolMissing
from tallyhouse.local.local_server import LocalServer

REMEDY = "apt-get install postgresql, or put initdb and postgres on the PATH, or set POSTGRESQL_HOME"
DATABASE = "tallyhouse"
SUPERUSER = "postgres"
"""The database user, without a password: access to the folder is what protects the data."""

_DEBIAN = Path("/usr/lib/postgresql")
_SYSTEM_USER = "postgres"
_LONGEST_SOCKET = 107
_SOCKET = ".s.PGSQL.5432"


class Installed(NamedTuple):
    """The folder of PostgreSQL's programs, and the user that must run them because root may not."""

    programs: Path
    user: pwd.struct_passwd | None


def find_postgresql(environ: Mapping[str, str]) -> Installed:
    """Raises ToolMissing if no usable PostgreSQL is installed."""
    if find_spec("psycopg") is None:
        raise ToolMissing("PostgreSQL's client library", "pip install 'tallyhouse[postgresql]'")
    return Installed(_programs(environ), _unprivileged())


def _programs(environ: Mapping[str, str]) -> Path:
    """The folder from POSTGRESQL_HOME, or else on the PATH, or else Debian's, the newest of several."""
    if home := environ.get("POSTGRESQL_HOME"):
        places = [Path(home) / "bin"]
    else:
        debian = sorted(_DEBIAN.glob("*/bin"), key=lambda path: float(path.parts[-2]), reverse=True)
        places = [*map(Path, filter(None, environ.get("PATH", "").split(os.pathsep))), *debian]
    for place in places:
        if all(os.access(place / program, os.X_OK) for program in ("initdb", "postgres")):
            return place
    raise ToolMissing("PostgreSQL", REMEDY)


def _unprivileged() -> pwd.struct_passwd | None:
    """The system user that PostgreSQL's package made, if this process is root's; None otherwise."""
    if os.geteuid():
        return None
    try:
        return pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        what = f"a user {_SYSTEM_USER!r}, as whom root could run PostgreSQL,"
        raise ToolMissing(what, f"useradd --system {_SYSTEM_USER}") from None


class PostgreSql(LocalServer):
    """The server of one folder. The first start makes its data directory and one database."""

    def __init__(
        self, folder: Path, installed: Installed, *, log: Path | None = None, options: Sequence[str] = ()
    ) -> None:
        """`options` are command-line options of `postgres`."""
        # SIGINT ends PostgreSQL without waiting for its clients to disconnect.
        program = BackgroundProgram(folder, log=log, stop=signal.SIGINT, user=installed.user)
        super().__init__("PostgreSQL", program)
        self._folder = folder.absolute()
        self._installed = installed
        self._options = options

    @property
    def is_made(self) -> bool:
        """True if the data directory exists."""
        return self._data.is_dir()

    def url(self, database: str = DATABASE) -> str:
        """The SQLAlchemy URL of one of its databases."""
        return f"postgresql+psycopg://{SUPERUSER}@/{database}?host={self._folder}"

    def psql(self) -> str:
        """The shell command that opens the database."""
        return f"psql -h {self._folder} -U {SUPERUSER} {DATABASE}"

    def prepare(self) -> None:
        """Makes the folder. Raises ToolMissing or Misconfigured if the server could not use it."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if user := self._installed.user:
            os.chown(self._folder, user.pw_uid, user.pw_gid)
            if _run(user, "/bin/sh", "-c", 'cd "$0"', self._folder):
                raise ToolMissing(
                    f"a way into {self._folder} for the user {user.pw_name!r}, as whom root must run PostgreSQL,",
                    "choose a folder that everyone may pass through, or run this as another user than root",
                )
        if len(os.fsencode(self._folder / _SOCKET)) > _LONGEST_SOCKET:
            raise Misconfigured([f"the path {self._folder} is too long for PostgreSQL's socket: choose a shorter one"])

    def _start_program(self) -> None:
        self.prepare()
        if not self.is_made:
            self._make()
        settings = {"listen_addresses": "", "unix_socket_directories": str(self._folder)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self._launch([self._program_of("postgres"), "-D", str(self._data), *options, *self._options])

    def _make(self) -> None:
        # In a temporary folder, which is then renamed: all of the data or nothing.
        new = self._folder / "new"
        shutil.rmtree(new, ignore_errors=True)
        user = self._installed.user
        words = ("-D", new, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C")
        if error := _run(user, self._program_of("initdb"), *words):
            raise ProgramFailed(f"PostgreSQL's data could not be made: {error}")
        creating = f"CREATE DATABASE {DATABASE}"
        if error := _run(
            user, self._program_of("postgres"), "--single", "-D", new, "postgres", standard_input=creating
        ):
            raise ProgramFailed(f"PostgreSQL's database could not be made: {error}")
        new.rename(self._data)

    def _is_serving(self) -> bool:
        # Read from the file that pg_ctl polls too.
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def _program_of(self, name: str) -> str:
        return str(self._installed.programs / name)

    @property
    def _data(self) -> Path:
        return self._folder / "data"


def _run(user: pwd.struct_passwd | None, *command: object, standard_input: str = "") -> str:
    """Runs the command; returns its output if it fails, and nothing if it succeeds."""
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(  # noqa: S603 our own arguments
            [str(word) for word in command],
            input=standard_input.encode(),
            stdout=output,
            stderr=output,
            check=False,
            user=user and user.pw_uid,
            group=user and user.pw_gid,
            extra_groups=user and [],
            cwd="/",
        )
        output.seek(0)
        text = output.read().decode(errors="replace").strip()
    return text or f"exit code {done.returncode}" if done.returncode else ""
