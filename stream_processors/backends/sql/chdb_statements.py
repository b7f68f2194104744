"""Runs raw statements on the embedded engine, each in a session of its own."""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode

import chdb
import msgspec
import pyarrow as pa

from schemas.errors import StoreFailed
from stream_processors.backends.sql.client import insert_into, one_block
from stream_processors.backends.sql.engine_settings import EngineLimits, EngineSettings, session_settings

LOGICAL_ERROR = 49
"""The engine's code for its own errors, used for an error without a code."""

_SENT_AT_ONCE = 2**20
"""Bytes of an insert that are copied at a time."""

_CANCEL = """\
KILL QUERY WHERE startsWith(Settings['log_comment'], {mark:String}) AND query_kind NOT IN ('Insert', 'Create', 'Alter')
ASYNC"""

_CODE = re.compile(r"Code: (\d+)\. ")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class StatementFailed(StoreFailed):
    """The engine's error, with its code and message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class EngineStatement(msgspec.Struct, frozen=True, kw_only=True):
    """A statement and its context; settings, database and parameters apply to this statement alone."""

    text: str
    format: str = "TabSeparated"
    """The format of the result if the text has no FORMAT; for an insert, the format of the data."""
    database: str = "default"
    settings: Mapping[str, str] = {}
    parameters: Mapping[str, str] = {}
    """Values of {name:Type}, escaped as in TabSeparated."""
    mark: str = ""
    """Identifies the statement while it runs, so that it can be cancelled."""


class StatementResult(NamedTuple):
    """The body of a result, and the statement's statistics."""

    body: bytes
    result_rows: int = 0
    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    elapsed: float = 0.0


class StatementKind(NamedTuple):
    """How the engine's parser classifies a text."""

    statements: int
    reads_only: bool


class ChdbStatements:
    """Gives every statement a session of its own: settings, database and parameters end with it.

    A new session costs less than resetting a used one. Thread-safe. A process may use this and `Chdb` on the same
    directory.
    """

    def __init__(self, path: Path, limits: EngineLimits) -> None:
        self._path = path
        self._limits = limits
        self._keepalive_session: Any = None

    def __enter__(self) -> Self:
        # The engine lives as long as any session is open.
        self._keepalive_session = self._connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._keepalive_session.close()

    def run(self, statement: EngineStatement) -> StatementResult:
        """Runs a statement without data. Raises StatementFailed."""
        start = time.perf_counter()
        with self._session(statement) as session:
            found = session.query(statement.text, statement.format, params=dict(statement.parameters))
            return StatementResult(
                found.bytes() or b"",
                found.rows_read(),
                found.storage_rows_read(),
                found.storage_bytes_read(),
                found.rows_written(),
                found.bytes_written(),
                time.perf_counter() - start,
            )

    def insert(self, statement: EngineStatement, data: Iterable[bytes]) -> StatementResult:
        """Runs `INSERT INTO t (columns)`, without FORMAT, with its rows. Nothing is inserted if this raises."""
        start = time.perf_counter()
        with self._session(statement) as session, session.send_insert(statement.text, statement.format) as rows:
            for chunk in data:
                rows.append(chunk)
            done = rows.finish()
            return StatementResult(
                body=b"",
                written_rows=done.rows_written,
                written_bytes=done.bytes_written,
                elapsed=time.perf_counter() - start,
            )

    def classify(self, text: str) -> StatementKind:
        """Classifies a text by the engine's own parser. A text that does not parse has no statements."""
        session = self._connect()
        try:
            report = session._conn.classify_query(text)  # noqa: SLF001 - the library does not expose it
        finally:
            session.close()
        return StatementKind(report["statement_count"], report["query_class"].name == "READ_ONLY")

    def cancel_read(self, mark: str) -> None:
        """Asks the engine to end the statement, if it is running and only reads."""
        self.run(EngineStatement(text=_CANCEL, parameters={"mark": f"{mark} "}))

    @contextmanager
    def _session(self, statement: EngineStatement) -> Iterator[Any]:
        session = self._connect()
        try:
            with _translate_errors():
                session.query(_set(self._settings_of(statement)))
                session.query(f"USE {_quoted(statement.database, '`')}")
                yield session
        finally:
            session.close()

    def _settings_of(self, statement: EngineStatement) -> dict[str, str]:
        settings = {name: str(value) for name, value in session_settings(self._limits).items()} | dict(
            statement.settings
        )
        settings["log_comment"] = f"{statement.mark} {settings.get('log_comment', '')}"
        return settings

    def _connect(self) -> Any:
        return _connect(self._path, self._limits)


class ChdbInserter:
    """A session that inserts rows from memory; one call at a time.

    clickhouse-connect's interface to the engine writes the rows of each insert into a temporary file.
    """

    def __init__(self, path: Path, limits: EngineLimits) -> None:
        self._path = path
        self._limits = limits
        self._database: str | None = None
        self._session = self._open()

    def close(self) -> None:
        self._session.close()

    def insert(self, database: str, table: str, rows: pa.Table, settings: EngineSettings) -> None:
        """Inserts the rows as one block. Nothing is inserted if this raises StatementFailed."""
        try:
            with _translate_errors():
                if database != self._database:
                    self._session.query(f"USE {_quoted(database, '`')}")
                    self._database = database
                statement = f"{insert_into(table, rows)} SETTINGS {_assignments(settings)}"
                block = memoryview(one_block(rows))
                with self._session.send_insert(statement, "ArrowStream") as insert:
                    for start in range(0, len(block), _SENT_AT_ONCE):
                        # A copy of a part, not of all of it.
                        insert.append(bytes(block[start : start + _SENT_AT_ONCE]))
                    insert.finish()
        except BaseException:
            # What an insert that was given up leaves in the session is not known.
            self.close()
            self._session = self._open()
            raise

    def _open(self) -> Any:
        self._database = None
        session = _connect(self._path, self._limits)
        session.query(f"SET {_assignments(session_settings(self._limits))}")
        return session


def _connect(path: Path, limits: EngineLimits) -> Any:
    connect: Callable[[str], Any] = chdb.connect
    return connect(f"{path.resolve()}?{urlencode(limits.server_options())}")


def _set(settings: Mapping[str, str]) -> str:
    for name in settings:
        if _NAME.fullmatch(name) is None:
            raise StatementFailed(115, f"Code: 115. DB::Exception: Unknown setting {name!r}. (UNKNOWN_SETTING)")
    return f"SET {_assignments(settings)}"


def _assignments(settings: Mapping[str, int | str]) -> str:
    return ", ".join(f"{name} = {_quoted(str(value))}" for name, value in settings.items())


def _quoted(text: str, quote: str = "'") -> str:
    return quote + text.replace("\\", "\\\\").replace(quote, f"\\{quote}") + quote


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Raises the engine's exceptions, which are all of one type, as StatementFailed with their code."""
    try:
        yield
    except (RuntimeError, chdb.ChdbError) as error:
        found = _CODE.search(text := str(error))
        message = text[found.start() :] if found else text
        raise StatementFailed(int(found[1]) if found else LOGICAL_ERROR, message) from error
