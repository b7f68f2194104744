"""Full access to the engine for the processes of one cluster: reads, DDL, and inserts with their data."""

from itertools import chain, pairwise
from pathlib import Path

import msgspec

from stream_processors.backends.sql.chdb_statements import ChdbStatements, EngineStatement, StatementKind
from stream_processors.clickhouse_server.bodies import Body, temporary_file
from stream_processors.clickhouse_server.deadline import Deadline
from stream_processors.clickhouse_server.errors import NOT_IMPLEMENTED, SYNTAX_ERROR, TOO_LARGE, clickhouse_error
from stream_processors.clickhouse_server.inserts import VALUES, Insert, is_insert, parse_insert
from stream_processors.clickhouse_server.lexer import tokens
from stream_processors.clickhouse_server.request import QueryRequest
from stream_processors.clickhouse_server.responses import QueryOutcome, format_of

MAX_STATEMENT_BYTES = 1 << 20
"""The longest statement in bytes, not counting the data of an insert."""

_SESSION_STATEMENTS = {
    "SET": "send settings in the URL",
    "USE": "name the database in the URL",
    "BEGIN": "there are no transactions",
}


_SERVER_DEFAULTS = {"implicit_select": "0"}
"""Settings whose default in the embedded engine differs from a server's."""


class FullAccess:
    """Runs every statement exactly as sent, or refuses it: no part is ignored silently."""

    def __init__(self, engine: ChdbStatements, spool: Path, seconds: int) -> None:
        """`seconds` is the time limit of a statement that names none."""
        self._engine = engine
        self._spool = spool
        self._seconds = seconds

    def run(self, query: QueryRequest, body: Body, deadline: Deadline) -> QueryOutcome:
        url = query.text.encode()
        head = (url + b"\n" if url else b"") + body.read(MAX_STATEMENT_BYTES)
        statement = statement_of(query, deadline, self._seconds)
        insert = parse_insert(head) if is_insert(head) else None
        if insert is not None:
            return self._insert(insert, statement, head, body)
        if body.read(1):
            raise clickhouse_error(TOO_LARGE, f"The statement is longer than {MAX_STATEMENT_BYTES} bytes.")
        require_sessionless(head)
        statement = with_text(statement, text_of(head))
        kind = require_single_statement(self._engine, statement.text)
        result = self._engine.run(statement)
        has_result = kind.reads_only or result.body
        return QueryOutcome(result, format_of(head, query.format) if has_result else None)

    def cancel(self, mark: str) -> None:
        """Only reads are cancelled: a write whose client has disconnected is finished, as on a server."""
        self._engine.cancel_read(mark)

    def _insert(self, insert: Insert, statement: EngineStatement, head: bytes, body: Body) -> QueryOutcome:
        if insert.format.lower() == VALUES and body.read(1):
            raise clickhouse_error(
                TOO_LARGE, f"VALUES may have {MAX_STATEMENT_BYTES} bytes: send more than that in another format."
            )
        data = chain([head[insert.data_start :]], body.rest())
        if insert.source is None:
            plain = with_text(statement, text_of(insert.head), format=insert.format)
            return QueryOutcome(self._engine.insert(plain, filter(None, data)), None)
        with temporary_file(data, self._spool) as path:
            rewritten = with_text(statement, insert.reading(path))
            require_single_statement(self._engine, rewritten.text)
            return QueryOutcome(self._engine.run(rewritten), None)


def statement_of(query: QueryRequest, deadline: Deadline, seconds: int) -> EngineStatement:
    """The statement without its text. A GET request cannot write, as on a server."""
    settings = _SERVER_DEFAULTS | dict(query.settings)
    settings["max_execution_time"] = deadline.seconds_left(settings.get("max_execution_time", str(seconds)))
    if not deadline.may_write:
        settings["readonly"] = "1" if settings.get("readonly") == "1" else "2"
    return EngineStatement(
        text="",
        format=query.format,
        database=query.database,
        settings=settings,
        parameters=query.parameters,
        mark=deadline.mark,
    )


def with_text(statement: EngineStatement, text: str, **changes: str) -> EngineStatement:
    return msgspec.structs.replace(statement, text=text, **changes)


def text_of(statement: bytes) -> str:
    try:
        return statement.decode()
    except UnicodeDecodeError as error:
        raise clickhouse_error(SYNTAX_ERROR, f"The statement is not UTF-8: {error}.") from error


def require_single_statement(engine: ChdbStatements, text: str) -> StatementKind:
    """Raises StatementFailed for several statements, all of which the engine would run."""
    kind = engine.classify(text)
    if kind.statements > 1:
        raise clickhouse_error(SYNTAX_ERROR, "Multi-statements are not allowed.")
    return kind


def require_sessionless(statement: bytes) -> None:
    """Raises StatementFailed for a statement that changes a session: here every session ends with its statement."""
    if all(token.text == b";" for token in tokens(statement)):
        raise clickhouse_error(SYNTAX_ERROR, "Empty query.")
    words = [token.text.decode().upper() for token in tokens(statement) if token.kind == "word"]
    if words[:1] and words[0] in _SESSION_STATEMENTS:
        raise clickhouse_error(
            NOT_IMPLEMENTED, f"{words[0]} has no effect without a session: {_SESSION_STATEMENTS[words[0]]}."
        )
    if words[:1] == ["CREATE"] and "TEMPORARY" in words[:4]:
        raise clickhouse_error(NOT_IMPLEMENTED, "Temporary tables need a session: make an ordinary one.")
    if any(pair == ("INTO", "OUTFILE") for pair in pairwise(words)):
        raise clickhouse_error(NOT_IMPLEMENTED, "INTO OUTFILE is not supported over HTTP: the answer is the response.")
