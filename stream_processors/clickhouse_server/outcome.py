"""What became of a statement, and the format its answer is in."""

from typing import NamedTuple

from stream_processors.backends.sql.chdb_statements import StatementResult
from stream_processors.clickhouse_server.lexer import tokens


class QueryOutcome(NamedTuple):
    """`format` is None where the statement has no answer at all."""

    answer: StatementResult
    format: str | None


def format_of(statement: bytes, default: str) -> str:
    """What the last FORMAT says."""
    found, before = default, None
    for token in tokens(statement):
        if before is not None and before.depth == 0 and before.is_word("FORMAT") and token.kind == "word":
            found = token.text.decode()
        before = token
    return found
