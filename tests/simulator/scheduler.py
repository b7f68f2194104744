"""Drives coroutines by hand, one port call at a time: no event loop, no threads, no clock."""

from collections.abc import Callable, Coroutine, Generator, Hashable
from typing import Any

import msgspec

from tests.simulator.faults import CallOutcome


class PortCall:
    """A port call that is about to happen: awaiting it hands control to the scheduler, which decides how it goes."""

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
    """One coroutine and the call it is waiting before."""

    def __init__(self, name: str, work: Coroutine[PortCall, CallOutcome, None]) -> None:
        self.name = name
        self.waiting: PortCall | None = None
        self.memory: Hashable = name
        """Stands for the coroutine's local state, which is a function of all replies it has had."""
        self._work = work

    def start(self) -> None:
        """Run up to the first call."""
        self._advance(lambda: self._work.send(None))  # type: ignore[arg-type]  # what a fresh coroutine must be sent

    def resume(self, outcome: CallOutcome) -> None:
        """Make the call go as decided, and run up to the next one."""
        self._advance(lambda: self._work.send(outcome))

    def kill(self) -> None:
        """Drop the coroutine where it stands."""
        self.waiting = None
        self._work.close()

    def learn(self, reply: Hashable) -> None:
        """Remember a reply: two tasks with the same memory behave the same."""
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
    """One thing that could happen next."""

    label: str
    weight: float
    do: Callable[[], Any]
