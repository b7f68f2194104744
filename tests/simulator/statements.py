"""Statements that the store works on by itself: the guard is evaluated at one moment, the rows commit at another."""

from collections.abc import Callable, Hashable
from enum import StrEnum


class Stage(StrEnum):
    """Where a statement is."""

    SENT = "sent"
    """Somewhere between a client that no longer waits and the store."""
    PASSED = "passed"
    """Its guard let it through; its rows are not there yet."""
    FINISHED = "finished"
    FAILED = "failed"


ENDED = (Stage.FINISHED, Stage.FAILED)


class Statement:
    """An insert with its condition."""

    def __init__(self, *, label: str, guard: Callable[[], bool], effect: Callable[[], None]) -> None:
        self.label = label
        self.stage = Stage.SENT
        self.guard = guard
        self._effect = effect

    def advance(self) -> None:
        """From sent to evaluated, from evaluated to committed."""
        if self.stage is Stage.PASSED:
            self._effect()
            self.stage = Stage.FINISHED
        else:
            self.stage = Stage.PASSED if self.guard() else Stage.FINISHED


class Statements:
    """Those that are not finished, in the order in which they were sent."""

    def __init__(self) -> None:
        self.unfinished: list[Statement] = []

    def state(self) -> Hashable:
        return tuple((statement.label, statement.stage) for statement in self.unfinished)

    @property
    def running(self) -> list[Statement]:
        """What the store works on; of one that it has not even received nobody knows, so nobody can wait for it."""
        return [statement for statement in self.unfinished if statement.stage is Stage.PASSED]

    def take(self, statement: Statement, *, at_once: bool) -> None:
        self.unfinished.append(statement)
        if at_once:
            self.advance(statement)

    def advance(self, statement: Statement) -> None:
        statement.advance()
        if statement.stage in ENDED:
            self.unfinished.remove(statement)

    def all_fail(self) -> None:
        """The store is killed."""
        for statement in self.running:
            statement.stage = Stage.FAILED
        self.unfinished = [statement for statement in self.unfinished if statement.stage not in ENDED]
