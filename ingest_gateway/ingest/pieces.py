"""Work in pieces: a generator that may be left alone for a while wherever it yields."""

from collections.abc import Generator
from typing import TypeVar

Answer = TypeVar("Answer")

Steps = Generator[None, None, Answer]
"""The answer is what the generator returns."""


def run_at_once(work: Steps[Answer]) -> Answer:
    """All pieces, one after the other."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            answer: Answer = end.value
            return answer
