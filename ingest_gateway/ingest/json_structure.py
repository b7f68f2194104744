"""Finds where the elements of a JSON array or object start and end, without parsing their values.

Linear and not recursive: vectorised lookups find brackets and quotes chunk by chunk, so ten million opening brackets
cost milliseconds and little memory.
"""

from collections.abc import Iterator
from itertools import pairwise

import msgspec
import numpy as np
import numpy.typing as npt

from schemas.errors import Invalid

READABLE_DEPTH = 64
"""Deeper texts are not parsed at all, so that recursive parsers stay far from their limits."""

_PIECE = 256 * 1024
_SHORT = 1024
"""Below this length a plain count is faster than a vectorised one."""
_QUOTE, _COMMA = ord('"'), ord(",")
_CLOSER = {"[": "]", "{": "}"}
_BLANK = b" \t\r\n"


def _table(**steps: int) -> npt.NDArray[np.int8]:
    table = np.zeros(256, np.int8)
    for characters, step in steps.items():
        table[list(characters.encode())] = step
    return table


_STEP = _table(**{"[{": 1, "]}": -1})
_MARK = _table(**{'[{]}",': 1}).astype(bool)


class _Marks(msgspec.Struct, frozen=True):
    """Brackets and commas outside strings, in one chunk of the text."""

    places: npt.NDArray[np.int64]
    characters: npt.NDArray[np.uint8]
    depths: npt.NDArray[np.int64]
    """The number of open brackets after each."""


def without_escapes(text: bytes) -> bytes:
    """A text of the same length in which every quote starts or ends a string."""
    if b"\\" not in text:
        return text
    return text.replace(b"\\\\", b"__").replace(b'\\"', b"__")


def quotes(text: bytes) -> int:
    """The number of quotes that start or end a string."""
    return count(without_escapes(text), '"')


def count(text: bytes, character: str) -> int:
    """The number of occurrences of an ASCII character."""
    if len(text) < _SHORT:
        return text.count(character.encode())
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord(character)))


def _marks(text: bytes) -> Iterator[_Marks]:
    plain = np.frombuffer(without_escapes(text), np.uint8)
    depth = inside = 0
    for start in range(0, len(plain), _PIECE):
        piece = plain[start : start + _PIECE]
        places = np.flatnonzero(_MARK[piece])
        characters = piece[places]
        is_quote = characters == _QUOTE
        in_string = (np.cumsum(is_quote) + inside) & 1
        inside = int(in_string[-1]) if len(in_string) else inside
        outside = ~is_quote & (in_string == 0)
        depths = np.cumsum(_STEP[characters[outside]], dtype=np.int64) + depth
        depth = int(depths[-1]) if len(depths) else depth
        yield _Marks(places[outside] + start, characters[outside], depths)


def nests_deeper(text: bytes, levels: int) -> bool:
    """True if brackets nest deeper than `levels`."""
    if count(text, "[") + count(text, "{") <= levels:
        return False
    return any(int(marks.depths.max(initial=0)) > levels for marks in _marks(text))


def elements(text: bytes, what: str, most: int) -> list[tuple[int, int]]:
    """The start and end of each element of the array or object in `text`. Raises Invalid with the position.

    Does not validate the elements, except for balanced brackets and quotes.
    """
    first = _skip_blank(text)
    cuts = [first]
    for marks in _marks(text):
        closed = np.flatnonzero(marks.depths <= 0)
        last = int(closed[0]) if len(closed) else len(marks.depths)
        commas = (marks.characters[:last] == _COMMA) & (marks.depths[:last] == 1)
        cuts.extend(marks.places[:last][commas].tolist())
        if len(cuts) > most:
            raise Invalid(f"{what} holds more than {most} elements; split it over several requests")
        if len(closed):
            return _spans(text, what, [*cuts, int(marks.places[last])])
    raise Invalid(f"{what} is not valid JSON: it ends at byte {len(text)} inside a string, an array or an object")


def _skip_blank(text: bytes) -> int:
    return len(text) - len(text.lstrip(_BLANK))


def _spans(text: bytes, what: str, cuts: list[int]) -> list[tuple[int, int]]:
    """The elements between `cuts`: the positions of the opening bracket, the commas and the closing bracket."""
    first, last = cuts[0], cuts[-1]
    if text[last : last + 1].decode("latin-1") != _CLOSER.get(text[first : first + 1].decode("latin-1")):
        raise Invalid(f"{what} is not valid JSON: the bracket at byte {last} does not close the one at byte {first}")
    if text[last + 1 :].strip(_BLANK):
        raise Invalid(
            f"{what} is not valid JSON: something follows its end at byte {last + 1}; "
            "events on lines of their own are posted as application/x-ndjson"
        )
    spans = [(start + 1, end) for start, end in pairwise(cuts)]
    if len(spans) == 1 and not text[first + 1 : last].strip(_BLANK):
        return []
    for start, end in spans:
        if not text[start:end].strip(_BLANK):
            raise Invalid(f"{what} is not valid JSON: nothing stands before byte {end}, where an element should")
    return spans
