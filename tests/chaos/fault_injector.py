"""Injects the faults of a plan when they are due; faults may overlap."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from tests.chaos.fault_plan import PlannedFault
from tests.chaos.fault_targets import InjectedFault

MAX_CONCURRENT = 8


class FaultInjector:
    """Runs each fault in a thread of its own, so that the next fault need not wait for it."""

    def __init__(self, plan: Sequence[PlannedFault], inject: Callable[[PlannedFault], InjectedFault]) -> None:
        self._pending = list(plan)
        self._inject = inject
        self._threads = ThreadPoolExecutor(MAX_CONCURRENT, thread_name_prefix="fault")
        self._started: list[Future[InjectedFault]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._threads.shutdown(cancel_futures=True)

    def inject_due(self, acked: int) -> None:
        """Starts every fault that is due. Raises the error of an earlier fault that failed."""
        while self._pending and self._pending[0].at <= acked:
            self._started.append(self._threads.submit(self._inject, self._pending.pop(0)))
        _ = self.injected

    @property
    def injected(self) -> Sequence[InjectedFault]:
        """The faults that have ended. Raises the error of one that failed."""
        return [future.result() for future in self._started if future.done()]

    @property
    def is_over(self) -> bool:
        """True when no fault is pending and every started one has ended."""
        return not self._pending and all(future.done() for future in self._started)
