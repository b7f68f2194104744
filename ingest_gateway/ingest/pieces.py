"""Work in pieces: a generator that may be left alone for a while wherever it yields."""

from collections.abc import Generator
from typing import TypeVar

Answer = TypeVar("Answer")

Pieces = Generator[None, None, Answer]
"""The answer is what the generator returns."""


def at_once(work: Pieces[Answer]) -> Answer:
    """All pieces, one after the other."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            answer: Answer = end.value
            return answer
