"""Responses and errors in the form of ClickHouse's HTTP interface."""

from collections.abc import Mapping
from typing import NamedTuple

import orjson
from starlette.responses import Response

from stream_processors.backends.sql.chdb_statements import StatementFailed, StatementResult
from stream_processors.clickhouse_server.compression import COMPRESSORS
from stream_processors.clickhouse_server.errors import status_of
from stream_processors.clickhouse_server.lexer import tokens


class QueryOutcome(NamedTuple):
    """The result of a statement; `format` is None if it has no result at all."""

    answer: StatementResult
    format: str | None


def format_of(statement: bytes, default: str) -> str:
    """The format that the last FORMAT names, otherwise the default."""
    found, before = default, None
    for token in tokens(statement):
        if before is not None and before.depth == 0 and before.is_word("FORMAT") and token.kind == "word":
            found = token.text.decode()
        before = token
    return found


_WORTH_COMPRESSING = 1024


def outcome_response(outcome: QueryOutcome, headers: Mapping[str, str], accepted: str) -> Response:
    """The response to a statement. `accepted` lists the compressions the client accepts; '' means none."""
    fields = dict(headers) | {"X-ClickHouse-Summary": summary_of(outcome.answer)}
    if outcome.format is not None:
        fields |= {"X-ClickHouse-Format": outcome.format, "Content-Type": _content_type(outcome.format)}
    return _compressed(outcome.answer.body, 200, fields, accepted)


def error_response(error: StatementFailed, version: str, headers: Mapping[str, str], accepted: str) -> Response:
    """The response to a failed statement: its code is in a header, its message is the body."""
    fields = dict(headers) | {
        "X-ClickHouse-Exception-Code": str(error.code),
        "Content-Type": "text/plain; charset=UTF-8",
    }
    text = error.message if "(version " in error.message else f"{error.message} (version {version})"
    return _compressed(f"{text}\n".encode(), status_of(error.code), fields, accepted)


def summary_of(answer: StatementResult) -> str:
    numbers = {
        "read_rows": answer.read_rows,
        "read_bytes": answer.read_bytes,
        "written_rows": answer.written_rows,
        "written_bytes": answer.written_bytes,
        "total_rows_to_read": answer.read_rows,
        "result_rows": answer.result_rows,
        "result_bytes": len(answer.body),
        "elapsed_ns": int(answer.elapsed * 1e9),
    }
    return orjson.dumps({name: str(number) for name, number in numbers.items()}).decode()


def _compressed(body: bytes, status: int, headers: dict[str, str], accepted: str) -> Response:
    offered = {part.partition(";")[0].strip().lower() for part in accepted.split(",")}
    chosen = next((name for name in COMPRESSORS if name in offered), None)
    if chosen is not None and len(body) >= _WORTH_COMPRESSING:
        body = COMPRESSORS[chosen](body)
        headers["Content-Encoding"] = chosen
    return Response(body, status, headers)


def _content_type(format_name: str) -> str:
    if format_name.startswith("JSON"):
        return "application/json; charset=UTF-8"
    if format_name.startswith(("TabSeparated", "TSV")):
        return "text/tab-separated-values; charset=UTF-8"
    if format_name.startswith("CSV"):
        return "text/csv; charset=UTF-8"
    return "application/octet-stream"
