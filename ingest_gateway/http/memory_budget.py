"""A limit on the memory of bodies in flight; beyond it requests are refused with `Retry-After`."""

from types import TracebackType
from typing import Self

from schemas.errors import Overloaded
from schemas.metrics import Counter, Gauge, Metrics


class MemoryBudget:
    """Bytes that all requests may hold together. Used from one event loop only."""

    def __init__(self, limit: int, metrics: Metrics, retry_after: int = 1) -> None:
        self._limit = limit
        self._metrics = metrics
        self._retry_after = retry_after
        self._held = 0
        self._reported = 0
        self._step = limit // 1000

    def reserve(self, amount: int) -> None:
        """Takes `amount` bytes. Raises Overloaded, except for a single body that is larger than the whole budget."""
        if self._held and self._held + amount > self._limit:
            self._metrics.count(Counter.BUSY, 1, "memory")
            raise Overloaded(
                f"{self._held} bytes of events are waiting to be stored and the limit is {self._limit}; "
                "post again in a moment; the idempotency keys make a repeat safe",
                retry_after=self._retry_after,
            )
        self._change(amount)

    def release(self, amount: int) -> None:
        """Returns `amount` bytes to the budget."""
        self._change(-amount)

    def share(self) -> "MemoryShare":
        """One request's part, released on exit: `with budget.share() as share: share.grow(len(chunk))`."""
        return MemoryShare(self)

    def _change(self, amount: int) -> None:
        self._held += amount
        # The gauge is exact to a thousandth of the limit: reporting every small body would cost as much as reading it.
        if abs(self._held - self._reported) > self._step:
            self._reported = self._held
            self._metrics.set(Gauge.PENDING_BYTES, self._held)


class MemoryShare:
    """The part of the budget that one request holds."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._held = 0

    def grow(self, amount: int) -> None:
        """Takes `amount` more bytes. Raises Overloaded."""
        self._budget.reserve(amount)
        self._held += amount

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._budget.release(self._held)
        self._held = 0
