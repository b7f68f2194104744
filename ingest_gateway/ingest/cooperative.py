"""Cooperative scheduling of CPU-bound work on the event loop: work in steps, with control yielded between them."""

import asyncio
from collections.abc import Callable, Generator
from time import perf_counter
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


_TURNS = 4
"""What came in during the last piece is not a request yet: its bytes are read in one turn and it begins in the next;
what it waits for, such as a commit, wakes it in two. With one turn between the pieces, each of these steps waited for
a piece. Four turns of an idle loop are 50 µs.
"""
_ENOUGH_SECONDS = 0.01
"""Where hundreds are always ready a turn takes as long, and who waited for four of them would hardly get anywhere."""
_HELD_SECONDS = 0.0005
"""Work that is done sooner does not give way: a few small bodies are read like one large one."""


async def yield_control(timer: Callable[[], float] = perf_counter) -> None:
    """Returns once everyone who was ready has had a few turns, or enough time."""
    until = timer() + _ENOUGH_SECONDS
    for _ in range(_TURNS):
        await asyncio.sleep(0)
        if timer() > until:
            return


class Serialized:
    """Does one work at a time, and gives way whenever it has held the loop for a while. One event loop."""

    def __init__(self, timer: Callable[[], float] = perf_counter) -> None:
        self._timer = timer
        self._lock = asyncio.Lock()
        self._held = 0.0

    async def run(self, work: Steps[Answer]) -> Answer:
        async with self._lock:
            while True:
                if self._held > _HELD_SECONDS:
                    await yield_control(self._timer)
                    self._held = 0.0
                began = self._timer()
                try:
                    next(work)
                except StopIteration as end:
                    answer: Answer = end.value
                    return answer
                finally:
                    self._held += self._timer() - began
