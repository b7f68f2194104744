"""Read-only access for analysts and their tools: statements that read the usage store, and nothing more.

Two independent checks protect the store. Every statement is parsed, and judged by what the parser made of it; and the
engine runs the statement with `readonly=1`, so that it can neither write nor change a setting. `readonly=1` alone would
allow INTO OUTFILE, the function file(), DESCRIBE of a file or a URL, and KILL.

`EXPLAIN AST` is itself a statement that the engine runs: a clause at its end would be its own. So it comes last, when
the parser alone has shown that the statement reads, is the only one, and has no INTO OUTFILE.
"""

import re
from collections.abc import Mapping

import msgspec

from stream_processors.backends.sql.chdb_statements import ChdbStatements, EngineStatement, StatementFailed
from stream_processors.clickhouse_server.bodies import Body
from stream_processors.clickhouse_server.deadline import Deadline
from stream_processors.clickhouse_server.errors import ACCESS_DENIED, READONLY, SYNTAX_ERROR, clickhouse_error
from stream_processors.clickhouse_server.full_access import text_of
from stream_processors.clickhouse_server.function_catalogue import FunctionCatalogue
from stream_processors.clickhouse_server.lexer import tokens
from stream_processors.clickhouse_server.readonly_policy import ENGINE_DATABASES, check_formatted, check_readonly
from stream_processors.clickhouse_server.request import QueryRequest
from stream_processors.clickhouse_server.responses import QueryOutcome, format_of

MAX_STATEMENT_BYTES = 256 << 10
"""The longest statement that the engine parses."""

OUTPUT_SETTING_PREFIXES = (
    "output_format_arrow_",
    "output_format_csv_",
    "output_format_decimal_",
    "output_format_json_",
    "output_format_native_",
    "output_format_parquet_",
    "output_format_pretty_",
    "output_format_tsv_",
)
"""Settings with these prefixes change only the format of a result."""

FIRST_WORDS = ("SELECT", "WITH", "FROM", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN")

ALLOWED_SETTINGS = frozenset({"date_time_output_format", "extremes", "session_timezone"})
CONNECTION_SETTINGS = frozenset(
    {
        "cancel_http_readonly_queries_on_client_close",
        "enable_http_compression",
        "http_headers_progress_interval_ms",
        "readonly",
        "send_progress_in_http_headers",
    }
)
"""Accepted, but not passed to the engine, which knows no connection and is read-only in any case."""

UPPER_BOUNDS = {"max_execution_time": 60, "max_result_rows": 10_000_000}
"""Settings that a client may lower."""

_FIXED = {
    "max_result_bytes": "256000000",
    "result_overflow_mode": "throw",
    # A bare expression is not a statement: after EXPLAIN it could be parsed as something else.
    "implicit_select": "0",
    "readonly": "1",
}


_FORMAT = "SELECT formatQuerySingleLine({text:String})"
_PARSING = re.compile(r": In scope SELECT formatQuerySingleLine.*(?=\. \()", re.DOTALL)
"""What an error says of the statement that parses, and not of the one that is parsed."""


class ReadOnlyAccess:
    """Runs statements that only read, and refuses all others."""

    def __init__(self, engine: ChdbStatements, catalogue: FunctionCatalogue) -> None:
        self._engine = engine
        self._catalogue = catalogue

    def run(self, query: QueryRequest, body: Body, deadline: Deadline) -> QueryOutcome:
        url = query.text.encode()
        head = (url + b"\n" if url else b"") + body.read(MAX_STATEMENT_BYTES + 1)
        if len(head) > MAX_STATEMENT_BYTES:
            raise clickhouse_error(
                SYNTAX_ERROR, f"Max query size exceeded: a statement may have {MAX_STATEMENT_BYTES} bytes."
            )
        if query.database.lower() in ENGINE_DATABASES:
            raise clickhouse_error(
                ACCESS_DENIED, f"Not allowed on a read-only port: {query.database} as the default database."
            )
        statement = EngineStatement(
            text=text_of(head),
            format=query.format,
            database=query.database,
            settings=_bounded(allowed_settings(query.settings), deadline),
            parameters=query.parameters,
            mark=deadline.mark,
        )
        self._check(statement)
        return QueryOutcome(self._engine.run(statement), format_of(head, query.format))

    def cancel(self, mark: str) -> None:
        self._engine.cancel_read(mark)

    def _check(self, statement: EngineStatement) -> None:
        first = next(tokens(statement.text.encode()), None)
        if first is None or not (first.is_word(*FIRST_WORDS) or first.text == b"("):
            raise clickhouse_error(READONLY, "Cannot execute query in readonly mode: this port only reads.")
        kind = self._engine.classify(statement.text)
        if kind.statements > 1:
            raise clickhouse_error(SYNTAX_ERROR, "Multi-statements are not allowed.")
        formatted = self._formatted(statement.text)
        if not kind.reads_only:
            raise clickhouse_error(READONLY, "Cannot execute query in readonly mode: this port only reads.")
        check_formatted(formatted, statement.parameters)
        explain = msgspec.structs.replace(
            statement, text=f"EXPLAIN AST {statement.text}", format="TabSeparatedRaw", mark=""
        )
        outline = self._engine.run(explain).body.decode().split("\n")
        check_readonly(filter(None, outline), self._catalogue)

    def _formatted(self, text: str) -> str:
        """The statement as the engine's parser prints it; nothing runs. Raises StatementFailed if it does not parse."""
        parse = EngineStatement(
            text=_FORMAT, format="TabSeparatedRaw", settings=_FIXED, parameters={"text": _escaped(text)}
        )
        try:
            return self._engine.run(parse).body.decode().removesuffix("\n")
        except StatementFailed as error:
            raise StatementFailed(error.code, _PARSING.sub("", error.message)) from error


def _escaped(text: str) -> str:
    """The value of a parameter: as in TabSeparated."""
    return (
        text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r").replace("\0", "\\0")
    )


def allowed_settings(query: Mapping[str, str]) -> dict[str, str]:
    """The settings in the URL that are passed to the engine. Raises StatementFailed for those not allowed."""
    settings = {}
    for name, value in query.items():
        if name in CONNECTION_SETTINGS:
            continue
        if name in UPPER_BOUNDS:
            settings[name] = _lowered(name, value)
        elif name in ALLOWED_SETTINGS or name.startswith(OUTPUT_SETTING_PREFIXES):
            settings[name] = value
        else:
            raise clickhouse_error(READONLY, f"Cannot modify {name!r} setting in readonly mode.")
    return settings


def _bounded(settings: dict[str, str], deadline: Deadline) -> dict[str, str]:
    limits = {name: str(bound) for name, bound in UPPER_BOUNDS.items()} | settings
    return limits | {"max_execution_time": deadline.seconds_left(limits["max_execution_time"])} | _FIXED


def _lowered(name: str, value: str) -> str:
    if not value.isdecimal() or not 0 < int(value) <= UPPER_BOUNDS[name]:
        raise clickhouse_error(
            READONLY, f"Cannot modify {name!r} setting in readonly mode, but for 1 to {UPPER_BOUNDS[name]}."
        )
    return value
