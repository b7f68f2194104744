"""For strangers with a client of their own: statements that read the usage store, and nothing else.

Two locks, each enough for most of it. The parse of every statement is vetted node by node; and the engine runs it with
`readonly=1`, so that nothing in it can write or change a setting. Alone, `readonly=1` lets pass INTO OUTFILE, the
function file(), DESCRIBE of a file or an address, and KILL.
"""

from collections.abc import Mapping

import msgspec

from stream_processors.backends.sql.chdb_statements import ChdbStatements, Statement
from stream_processors.clickhouse_server.bodies import Body
from stream_processors.clickhouse_server.deadline import Turn
from stream_processors.clickhouse_server.errors import ACCESS_DENIED, READONLY, SYNTAX_ERROR, refusal
from stream_processors.clickhouse_server.full_access import text_of
from stream_processors.clickhouse_server.function_catalogue import Catalogue
from stream_processors.clickhouse_server.lexer import tokens
from stream_processors.clickhouse_server.outcome import Outcome, format_of
from stream_processors.clickhouse_server.readonly_policy import ENGINE_DATABASES, vet
from stream_processors.clickhouse_server.request import Asked

HEAD = 256 << 10
"""The engine reads no longer statement."""

OF_THE_ANSWER = (
    "output_format_arrow_",
    "output_format_csv_",
    "output_format_decimal_",
    "output_format_json_",
    "output_format_native_",
    "output_format_parquet_",
    "output_format_pretty_",
    "output_format_tsv_",
)
"""Settings that begin like this change how an answer is written, and that is all."""

FIRST_WORDS = ("SELECT", "WITH", "FROM", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN")

SETTINGS = frozenset({"date_time_output_format", "extremes", "session_timezone"})
OF_THE_CONNECTION = frozenset(
    {
        "cancel_http_readonly_queries_on_client_close",
        "enable_http_compression",
        "http_headers_progress_interval_ms",
        "readonly",
        "send_progress_in_http_headers",
    }
)
"""Accepted, and left to this endpoint: the engine knows nothing of the connection. Everything is read-only anyway."""

BOUNDS = {"max_execution_time": 60, "max_result_rows": 10_000_000}
"""May be lowered."""

_FIXED = {
    "max_result_bytes": "256000000",
    "result_overflow_mode": "throw",
    # An expression alone is no statement: with EXPLAIN before it, it could be read as something else.
    "implicit_select": "0",
    "readonly": "1",
}


class ReadOnly:
    """Runs what has been found to read only."""

    def __init__(self, engine: ChdbStatements, catalogue: Catalogue) -> None:
        self._engine = engine
        self._catalogue = catalogue

    def run(self, asked: Asked, body: Body, turn: Turn) -> Outcome:
        """Blocks until it is done."""
        url = asked.text.encode()
        head = (url + b"\n" if url else b"") + body.read(HEAD + 1)
        if len(head) > HEAD:
            raise refusal(SYNTAX_ERROR, f"Max query size exceeded: a statement may have {HEAD} bytes.")
        if asked.database.lower() in ENGINE_DATABASES:
            raise refusal(ACCESS_DENIED, f"Not allowed on a read-only port: {asked.database} as the default database.")
        statement = Statement(
            text=text_of(head),
            format=asked.format,
            database=asked.database,
            settings=_bounded(vetted_settings(asked.settings), turn),
            parameters=asked.parameters,
            mark=turn.mark,
        )
        self._vet(statement)
        return Outcome(self._engine.run(statement), format_of(head, asked.format))

    def cancel(self, mark: str) -> None:
        self._engine.cancel_read(mark)

    def _vet(self, statement: Statement) -> None:
        first = next(tokens(statement.text.encode()), None)
        if first is None or not (first.is_word(*FIRST_WORDS) or first.text == b"("):
            raise refusal(READONLY, "Cannot execute query in readonly mode: this port only reads.")
        kind = self._engine.kind_of(statement.text)
        if kind.statements > 1:
            raise refusal(SYNTAX_ERROR, "Multi-statements are not allowed.")
        explain = msgspec.structs.replace(
            statement, text=f"EXPLAIN AST {statement.text}", format="TabSeparatedRaw", mark=""
        )
        outline = self._engine.run(explain).body.decode().splitlines()  # raises where it does not parse
        if not kind.reads_only:
            raise refusal(READONLY, "Cannot execute query in readonly mode: this port only reads.")
        vet(filter(None, outline), self._catalogue)


def vetted_settings(asked: Mapping[str, str]) -> dict[str, str]:
    """Of the settings in the URL those that the engine is to have."""
    settings = {}
    for name, value in asked.items():
        if name in OF_THE_CONNECTION:
            continue
        if name in BOUNDS:
            settings[name] = _lowered(name, value)
        elif name in SETTINGS or name.startswith(OF_THE_ANSWER):
            settings[name] = value
        else:
            raise refusal(READONLY, f"Cannot modify {name!r} setting in readonly mode.")
    return settings


def _bounded(settings: dict[str, str], turn: Turn) -> dict[str, str]:
    limits = {name: str(bound) for name, bound in BOUNDS.items()} | settings
    return limits | {"max_execution_time": turn.seconds_left(limits["max_execution_time"])} | _FIXED


def _lowered(name: str, value: str) -> str:
    if not value.isdecimal() or not 0 < int(value) <= BOUNDS[name]:
        raise refusal(READONLY, f"Cannot modify {name!r} setting in readonly mode, but for 1 to {BOUNDS[name]}.")
    return value
