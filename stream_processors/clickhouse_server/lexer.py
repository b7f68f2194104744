"""ClickHouse SQL cut into tokens: just enough to find where a statement ends and its data begins."""

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
    """A piece of a statement, and where it is."""

    kind: str
    text: bytes
    start: int
    end: int
    depth: int
    """Of the brackets around it."""

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.decode().upper() in words


def tokens(text: bytes) -> Iterator[Token]:
    """Without gaps. Lazy: what follows the data's beginning need not be SQL at all."""
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
