"""Cooperative scheduling of CPU-bound work on the event loop: work in steps, with control yielded between them."""

import asyncio
from collections.abc import Callable, Generator
from time import perf_counter
from typing import TypeVar

Answer = TypeVar("Answer")

Steps = Generator[None, None, Answer]
"""Work in steps: each `yield` ends a step, and the generator returns the result."""


def run_at_once(work: Steps[Answer]) -> Answer:
    """Runs all steps without yielding control."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            answer: Answer = end.value
            return answer


_TURNS = 4
"""Turns of the event loop between two steps. A request that arrives during a step has its bytes read in one turn and
starts in the next; a commit that it awaits wakes it within two. With a single turn, each of these stages waited for a
whole step. Four turns of an idle loop take 50 µs.
"""
_ENOUGH_SECONDS = 0.01
"""With hundreds of ready tasks one turn takes this long; four of them would stall the work."""
_HELD_SECONDS = 0.0005
"""Work that holds the loop for less does not yield, so a few small bodies cost no more than one large one."""


async def yield_control(timer: Callable[[], float] = perf_counter) -> None:
    """Returns after a few turns of the event loop, or after 10 ms."""
    until = timer() + _ENOUGH_SECONDS
    for _ in range(_TURNS):
        await asyncio.sleep(0)
        if timer() > until:
            return


class Serialized:
    """Runs one piece of work at a time and yields control whenever it has held the loop for 0.5 ms.

    Bound to one event loop.
    """

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
