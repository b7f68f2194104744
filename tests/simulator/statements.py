"""Statements in the store: the guard is evaluated at one moment, and the rows commit at another.

On a plain server the commit itself has two moments: the token is written, then the part is renamed.
"""

from collections.abc import Callable, Hashable
from enum import StrEnum

from tests.simulator.durable import Durable


class StatementState(StrEnum):
    """The progress of a statement."""

    SENT = "sent"
    """On its way to the store; its client does not wait any more."""
    PASSED = "passed"
    """Its guard is passed; its rows are not stored yet."""
    TOKENED = "tokened"
    """Its token is written; its rows are not stored yet."""
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
        """Does the first half of the commit."""
        self.stage = StatementState.TOKENED if self._durable.keep_token_of(self.effect) else StatementState.FINISHED


class Statements:
    """The unfinished statements, in the order of sending."""

    def __init__(self) -> None:
        self.unfinished: list[RunningStatement] = []

    def state(self) -> Hashable:
        return tuple((statement.label, statement.stage) for statement in self.unfinished)

    @property
    def running(self) -> list[RunningStatement]:
        """The statements that the store is running; those still on their way cannot be known or waited for."""
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
        """Fails all statements: the store is killed."""
        for statement in self.running:
            statement.stage = StatementState.FAILED
        self.unfinished = [statement for statement in self.unfinished if statement.stage not in ENDED]
