"""Drives coroutines by hand, one port call at a time: no event loop, no threads, no clock."""

from collections.abc import Callable, Coroutine, Generator, Hashable
from typing import Any

import msgspec

from tests.simulator.faults import CallOutcome


class PortCall:
    """A pending port call: awaiting it passes control to the scheduler, which decides on its outcome."""

    __slots__ = ("at_store", "name", "outcomes", "ready")

    def __init__(
        self,
        name: str,
        outcomes: tuple[CallOutcome, ...] = (CallOutcome.OK,),
        *,
        ready: Callable[[], bool] | None = None,
        at_store: bool = False,
    ) -> None:
        self.name = name
        self.outcomes = outcomes
        self.ready = ready
        self.at_store = at_store

    def __await__(self) -> Generator["PortCall", CallOutcome, CallOutcome]:
        return (yield self)


class SimulatedTask:
    """One coroutine and its pending call."""

    def __init__(self, name: str, work: Coroutine[PortCall, CallOutcome, None]) -> None:
        self.name = name
        self.waiting: PortCall | None = None
        self.memory: Hashable = name
        """Represents the coroutine's local state, which is a function of all its replies."""
        self._work = work

    def start(self) -> None:
        """Runs up to the first call."""
        self._advance(lambda: self._work.send(None))  # type: ignore[arg-type]  # what a fresh coroutine must be sent

    def resume(self, outcome: CallOutcome) -> None:
        """Executes the call with the decided outcome, and runs up to the next one."""
        self._advance(lambda: self._work.send(outcome))

    def kill(self) -> None:
        """Discards the coroutine at its pending call."""
        self.waiting = None
        self._work.close()

    def learn(self, reply: Hashable) -> None:
        """Adds a reply to the memory: two tasks with the same memory behave the same."""
        self.memory = hash((self.memory, reply))

    @property
    def runnable(self) -> bool:
        return self.waiting is not None and (self.waiting.ready is None or self.waiting.ready())

    def _advance(self, send: Callable[[], PortCall]) -> None:
        try:
            self.waiting = send()
        except StopIteration:
            self.waiting = None


class Action(msgspec.Struct, frozen=True):
    """A possible next action of the run."""

    label: str
    weight: float
    do: Callable[[], Any]
