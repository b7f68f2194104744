"""Lets the faults of a plan fall when their time has come; they may overlap."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from tests.chaos.fault_plan import PlannedFault
from tests.chaos.fault_targets import InjectedFault

AT_ONCE = 8


class FaultInjector:
    """Each fault has a thread, so that one need not be over when the next one falls."""

    def __init__(self, plan: Sequence[PlannedFault], inject: Callable[[PlannedFault], InjectedFault]) -> None:
        self._left = list(plan)
        self._inject = inject
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fault")
        self._started: list[Future[InjectedFault]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._threads.shutdown(cancel_futures=True)

    def inject_due(self, acked: int) -> None:
        """Let fall what is due by now. Raises what went wrong with an earlier one."""
        while self._left and self._left[0].at <= acked:
            self._started.append(self._threads.submit(self._inject, self._left.pop(0)))
        _ = self.injected

    @property
    def injected(self) -> Sequence[InjectedFault]:
        """What is over."""
        return [future.result() for future in self._started if future.done()]

    @property
    def is_over(self) -> bool:
        """No fault is left, and all that fell are over."""
        return not self._left and all(future.done() for future in self._started)
