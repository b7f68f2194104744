"""A PostgreSQL server of our own: its data in one folder, reached through a socket in it, never over the network."""

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
"""Of the database: whoever can enter the folder."""

_DEBIAN = Path("/usr/lib/postgresql")
_SYSTEM_USER = "postgres"
_LONGEST_SOCKET = 107
_SOCKET = ".s.PGSQL.5432"


class Installed(NamedTuple):
    """The programs, and who must run them: root may not."""

    programs: Path
    user: pwd.struct_passwd | None


def find_postgresql(environ: Mapping[str, str]) -> Installed:
    """Raises ToolMissing where there is none that can be used."""
    if find_spec("psycopg") is None:
        raise ToolMissing("PostgreSQL's client library", "pip install 'tallyhouse[postgresql]'")
    return Installed(_programs(environ), _unprivileged())


def _programs(environ: Mapping[str, str]) -> Path:
    """Those of POSTGRESQL_HOME; else on the PATH; else where Debian puts them, the newest of several."""
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
    """As root, the user that PostgreSQL's package made."""
    if os.geteuid():
        return None
    try:
        return pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        what = f"a user {_SYSTEM_USER!r}, as whom root could run PostgreSQL,"
        raise ToolMissing(what, f"useradd --system {_SYSTEM_USER}") from None


class PostgreSql(LocalServer):
    """The server of one folder. The first start makes its data, with one database."""

    def __init__(
        self, folder: Path, installed: Installed, *, log: Path | None = None, options: Sequence[str] = ()
    ) -> None:
        """`options` as on the command line of `postgres`."""
        # SIGINT has it end without waiting for its clients to go.
        program = BackgroundProgram(folder, log=log, stop=signal.SIGINT, user=installed.user)
        super().__init__("PostgreSQL", program)
        self._folder = folder.absolute()
        self._installed = installed
        self._options = options

    @property
    def is_made(self) -> bool:
        """Whether there is data."""
        return self._data.is_dir()

    def url(self, database: str = DATABASE) -> str:
        """The address of a database of it."""
        return f"postgresql+psycopg://{SUPERUSER}@/{database}?host={self._folder}"

    def psql(self) -> str:
        """The command by which a person looks into it."""
        return f"psql -h {self._folder} -U {SUPERUSER} {DATABASE}"

    def prepare(self) -> None:
        """Make the folder, and see that the server could use it. Raises ToolMissing where it could not."""
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
        told = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self._launch([self._program_of("postgres"), "-D", str(self._data), *told, *self._options])

    def _make(self) -> None:
        """All of it or nothing: made beside its place, and moved there whole."""
        new = self._folder / "new"
        shutil.rmtree(new, ignore_errors=True)
        user = self._installed.user
        words = ("-D", new, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C")
        if said := _run(user, self._program_of("initdb"), *words):
            raise ProgramFailed(f"PostgreSQL's data could not be made: {said}")
        creating = f"CREATE DATABASE {DATABASE}"
        if said := _run(user, self._program_of("postgres"), "--single", "-D", new, "postgres", said=creating):
            raise ProgramFailed(f"PostgreSQL's database could not be made: {said}")
        new.rename(self._data)

    def _is_serving(self) -> bool:
        """As it says itself in the file that pg_ctl waits for."""
        try:
            told = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(told) > 7 and told[0] == str(self.pid) and told[7].strip() == "ready"

    def _program_of(self, name: str) -> str:
        return str(self._installed.programs / name)

    @property
    def _data(self) -> Path:
        return self._folder / "data"


def _run(user: pwd.struct_passwd | None, *command: object, said: str = "") -> str:
    """Nothing where it went well, else what it complained of."""
    with tempfile.TemporaryFile() as told:
        done = subprocess.run(  # noqa: S603 our own words
            [str(word) for word in command],
            input=said.encode(),
            stdout=told,
            stderr=told,
            check=False,
            user=user and user.pw_uid,
            group=user and user.pw_gid,
            extra_groups=user and [],
            cwd="/",
        )
        told.seek(0)
        complaint = told.read().decode(errors="replace").strip()
    return complaint or f"exit code {done.returncode}" if done.returncode else ""
