"""Everything the engine can do, for the processes of one cluster: reads, DDL, and inserts with their data."""

from itertools import chain, pairwise
from pathlib import Path

import msgspec

from stream_processors.backends.sql.chdb_statements import ChdbStatements, Kind, Statement
from stream_processors.clickhouse_server.bodies import Body, in_file
from stream_processors.clickhouse_server.deadline import Turn
from stream_processors.clickhouse_server.errors import NOT_IMPLEMENTED, SYNTAX_ERROR, TOO_LARGE, refusal
from stream_processors.clickhouse_server.inserts import VALUES, Insert, is_insert, parse_insert
from stream_processors.clickhouse_server.lexer import tokens
from stream_processors.clickhouse_server.outcome import Outcome, format_of
from stream_processors.clickhouse_server.request import Asked

HEAD = 1 << 20
"""Within so many bytes a statement must end, and its data, if any, begin."""

_SESSION_WORDS = {
    "SET": "send settings in the URL",
    "USE": "name the database in the URL",
    "BEGIN": "there are no transactions",
}


_AS_A_SERVER = {"implicit_select": "0"}
"""Where the engine inside a process has another default than a server."""


class Whole:
    """Runs what is asked, as asked, or refuses it: nothing is left out silently."""

    def __init__(self, engine: ChdbStatements, spool: Path, seconds: int) -> None:
        """`seconds` is the time limit of a statement that names none."""
        self._engine = engine
        self._spool = spool
        self._seconds = seconds

    def run(self, asked: Asked, body: Body, turn: Turn) -> Outcome:
        """Blocks until it is done."""
        url = asked.text.encode()
        head = (url + b"\n" if url else b"") + body.read(HEAD)
        statement = statement_of(asked, turn, self._seconds)
        insert = parse_insert(head) if is_insert(head) else None
        if insert is not None:
            return self._insert(insert, statement, head, body)
        if body.read(1):
            raise refusal(TOO_LARGE, f"The statement is longer than {HEAD} bytes.")
        check_session_free(head)
        statement = with_text(statement, text_of(head))
        kind = check_single(self._engine, statement.text)
        answer = self._engine.run(statement)
        has_answer = kind.reads_only or answer.body
        return Outcome(answer, format_of(head, asked.format) if has_answer else None)

    def cancel(self, mark: str) -> None:
        """Only what reads: a write whose client is gone is finished, as on a server."""
        self._engine.cancel_read(mark)

    def _insert(self, insert: Insert, statement: Statement, head: bytes, body: Body) -> Outcome:
        if insert.format.lower() == VALUES and body.read(1):
            raise refusal(TOO_LARGE, f"VALUES may have {HEAD} bytes: send more than that in another format.")
        data = chain([head[insert.data_start :]], body.rest())
        if insert.source is None:
            plain = with_text(statement, text_of(insert.head), format=insert.format)
            return Outcome(self._engine.insert(plain, filter(None, data)), None)
        with in_file(data, self._spool) as path:
            rewritten = with_text(statement, insert.reading(path))
            check_single(self._engine, rewritten.text)
            return Outcome(self._engine.run(rewritten), None)


def statement_of(asked: Asked, turn: Turn, seconds: int) -> Statement:
    """All but the text. GET is for what does not write, as on a server."""
    settings = _AS_A_SERVER | dict(asked.settings)
    settings["max_execution_time"] = turn.seconds_left(settings.get("max_execution_time", str(seconds)))
    if not turn.may_write:
        settings["readonly"] = "1" if settings.get("readonly") == "1" else "2"
    return Statement(
        text="",
        format=asked.format,
        database=asked.database,
        settings=settings,
        parameters=asked.parameters,
        mark=turn.mark,
    )


def with_text(statement: Statement, text: str, **changes: str) -> Statement:
    return msgspec.structs.replace(statement, text=text, **changes)


def text_of(statement: bytes) -> str:
    try:
        return statement.decode()
    except UnicodeDecodeError as error:
        raise refusal(SYNTAX_ERROR, f"The statement is not UTF-8: {error}.") from error


def check_single(engine: ChdbStatements, text: str) -> Kind:
    """The engine would run all of them."""
    kind = engine.kind_of(text)
    if kind.statements > 1:
        raise refusal(SYNTAX_ERROR, "Multi-statements are not allowed.")
    return kind


def check_session_free(statement: bytes) -> None:
    """What would change a session ends with its statement here, so it is refused."""
    if all(token.text == b";" for token in tokens(statement)):
        raise refusal(SYNTAX_ERROR, "Empty query.")
    words = [token.text.decode().upper() for token in tokens(statement) if token.kind == "word"]
    if words[:1] and words[0] in _SESSION_WORDS:
        raise refusal(NOT_IMPLEMENTED, f"{words[0]} has no effect without a session: {_SESSION_WORDS[words[0]]}.")
    if words[:1] == ["CREATE"] and "TEMPORARY" in words[:4]:
        raise refusal(NOT_IMPLEMENTED, "Temporary tables need a session: make an ordinary one.")
    if any(pair == ("INTO", "OUTFILE") for pair in pairwise(words)):
        raise refusal(NOT_IMPLEMENTED, "INTO OUTFILE is not supported over HTTP: the answer is the response.")
