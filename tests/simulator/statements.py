"""Statements that the store works on by itself: the guard is evaluated at one moment, the rows commit at another.

On a plain server even the commit has two moments: the token is written, then the part is renamed.
"""

from collections.abc import Callable, Hashable
from enum import StrEnum

from tests.simulator.durable import Durable


class StatementState(StrEnum):
    """Where a statement is."""

    SENT = "sent"
    """Somewhere between a client that no longer waits and the store."""
    PASSED = "passed"
    """Its guard let it through; its rows are not there yet."""
    TOKENED = "tokened"
    """Its token is written; its rows are not there yet."""
    FINISHED = "finished"
    FAILED = "failed"


ENDED = (StatementState.FINISHED, StatementState.FAILED)
RUNNING = (StatementState.PASSED, StatementState.TOKENED)


class RunningStatement:
    """An insert with its condition."""

    def __init__(self, *, label: str, guard: Callable[[], bool], effect: Callable[[], None], durable: Durable) -> None:
        self.label = label
        self.stage = StatementState.SENT
        self.guard = guard
        self.effect = effect
        self._durable = durable

    def advance(self) -> None:
        """From sent to evaluated, from evaluated to committed."""
        if self.stage is StatementState.SENT:
            self.stage = StatementState.PASSED if self.guard() else StatementState.FINISHED
            return
        if self.stage is StatementState.TOKENED:
            self._durable.add_rows_of(self.effect)
        else:
            self.effect()
        self.stage = StatementState.FINISHED

    def stall(self) -> None:
        """Half of the commit; the other half is for later."""
        self.stage = StatementState.TOKENED if self._durable.keep_token_of(self.effect) else StatementState.FINISHED


class Statements:
    """Those that are not finished, in the order in which they were sent."""

    def __init__(self) -> None:
        self.unfinished: list[RunningStatement] = []

    def state(self) -> Hashable:
        return tuple((statement.label, statement.stage) for statement in self.unfinished)

    @property
    def running(self) -> list[RunningStatement]:
        """What the store works on; of one that it has not even received nobody knows, so nobody can wait for it."""
        return [statement for statement in self.unfinished if statement.stage in RUNNING]

    def take(self, statement: RunningStatement, *, at_once: bool) -> None:
        self.unfinished.append(statement)
        if at_once:
            self.advance(statement)

    def advance(self, statement: RunningStatement) -> None:
        statement.advance()
        self._let_go(statement)

    def stall(self, statement: RunningStatement) -> None:
        statement.stall()
        self._let_go(statement)

    def _let_go(self, statement: RunningStatement) -> None:
        if statement.stage in ENDED:
            self.unfinished.remove(statement)

    def all_fail(self) -> None:
        """The store is killed."""
        for statement in self.running:
            statement.stage = StatementState.FAILED
        self.unfinished = [statement for statement in self.unfinished if statement.stage not in ENDED]
