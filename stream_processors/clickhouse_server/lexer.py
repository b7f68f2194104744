"""Splits ClickHouse SQL into tokens: just enough to find where a statement ends and its data begins."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
    rb"""
    (?P<gap> \s+ | --[^\n]* | \#[!\ ][^\n]* | /\*.*?\*/ )
  | (?P<string> '(?:[^'\\]|\\.|'')*' )
  | (?P<name> "(?:[^"\\]|\\.|"")*" | `(?:[^`\\]|\\.|``)*` )
  | (?P<word> [A-Za-z_0-9]+ )
  | (?P<symbol> . )
    """,
    re.VERBOSE | re.DOTALL,
)


class Token(NamedTuple):
    """A piece of a statement, and its position."""

    kind: str
    text: bytes
    start: int
    end: int
    depth: int
    """How many brackets are open around it."""

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.decode().upper() in words


def tokens(text: bytes) -> Iterator[Token]:
    """The tokens without white space and comments. Lazy: the data after a statement need not be SQL."""
    depth = 0
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "symbol"
        piece = match[0]
        if kind == "gap":
            continue
        if piece in (b")", b"]", b"}"):
            depth -= 1
        yield Token(kind, piece, match.start(), match.end(), depth)
        if piece in (b"(", b"[", b"{"):
            depth += 1
