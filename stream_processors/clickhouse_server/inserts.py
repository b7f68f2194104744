"""Parses an INSERT: the statement, the format of its data, and where the data begins.

The embedded engine ignores the data of a statement that reads it through `input()`: it inserts nothing and reports no
error. So such a statement is rewritten to read the same data from a file, and every other use of `input()` is refused.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from stream_processors.clickhouse_server.errors import NOT_IMPLEMENTED, SYNTAX_ERROR, clickhouse_error
from stream_processors.clickhouse_server.lexer import Token, tokens

VALUES = "values"
_LINE_SPACE = b" \t\f"


class Insert(NamedTuple):
    """A statement that is followed by its data."""

    head: bytes
    """The statement before FORMAT or VALUES."""
    format: str
    data_start: int
    source: tuple[int, int, bytes] | None
    """Start, end and structure of `input(structure)` in the head; None for a plain INSERT."""

    def reading(self, path: str) -> str:
        """The statement rewritten to read its data from the file."""
        if self.source is None:
            raise ValueError("a plain INSERT takes its data directly")
        start, end, structure = self.source
        file = f"file({_quoted(path)}, {self.format}, ".encode() + structure + b")"
        return (self.head[:start] + file + self.head[end:]).decode()


def is_insert(text: bytes) -> bool:
    first = next(tokens(text), None)
    return first is not None and first.is_word("INSERT")


def parse_insert(text: bytes) -> Insert | None:
    """None if the statement has no data of its own, as in INSERT SELECT. Raises StatementFailed."""
    head: list[Token] = []
    for token in tokens(text):
        if token.depth == 0 and token.is_word("VALUES"):
            return _insert(text, head, token, "Values", token.end)
        if head and head[-1].depth == 0 and head[-1].is_word("FORMAT") and token.kind == "word":
            return _insert(text, head[:-1], head[-1], token.text.decode(), _data_start(text, token.end))
        head.append(token)
    if _inputs(head):
        raise clickhouse_error(SYNTAX_ERROR, "input() needs FORMAT and data at the end of the statement.")
    return None


def _insert(text: bytes, head: list[Token], end: Token, format_name: str, data_start: int) -> Insert:
    sources = _inputs(head)
    selects = any(token.depth == 0 and token.is_word("SELECT") for token in head)
    if selects and len(sources) != 1:
        raise clickhouse_error(
            NOT_IMPLEMENTED, "INSERT SELECT with FORMAT must read its data through exactly one input()."
        )
    if any(token.text == b";" for token in head):
        raise clickhouse_error(SYNTAX_ERROR, "Multi-statements are not allowed.")
    if format_name.lower() == VALUES:
        _check_end(text[data_start:])
    if any(token.is_word("INFILE") for token in head):
        raise clickhouse_error(NOT_IMPLEMENTED, "FROM INFILE is not supported over HTTP: send the data in the body.")
    return Insert(text[: end.start], format_name, data_start, sources[0] if sources else None)


def _check_end(values: bytes) -> None:
    # The engine reads values up to a semicolon, and ignores the rest.
    ended = False
    for token in tokens(values):
        if ended:
            raise clickhouse_error(SYNTAX_ERROR, "Multi-statements are not allowed.")
        ended = token.text == b";"


def _inputs(head: Sequence[Token]) -> list[tuple[int, int, bytes]]:
    """Every input('structure'). Raises StatementFailed for any other call of that function."""
    found = []
    for place, (token, after) in enumerate(pairwise(head)):
        if token.kind not in ("word", "name") or after.text != b"(" or token.text.strip(b'"`').lower() != b"input":
            continue
        inside = head[place + 2 : place + 4]
        if [piece.kind for piece in inside] != ["string", "symbol"] or inside[1].text != b")":
            raise clickhouse_error(
                NOT_IMPLEMENTED, "input() must be given its structure: one literal, input('a UInt8, b String')."
            )
        found.append((token.start, inside[1].end, inside[0].text))
    return found


def _data_start(text: bytes, place: int) -> int:
    """Data starts after the first line break, otherwise after the blanks."""
    while text[place : place + 1] and text[place : place + 1] in _LINE_SPACE:
        place += 1
    if text[place : place + 8].upper() == b"SETTINGS":
        raise clickhouse_error(
            NOT_IMPLEMENTED, "SETTINGS after FORMAT looks like data: write it before FORMAT, or into the URL."
        )
    if text[place : place + 1] == b"\r":
        place += 1
    return place + 1 if text[place : place + 1] == b"\n" else place


def _quoted(path: str) -> str:
    return "'" + path.replace("\\", "\\\\").replace("'", "\\'") + "'"
