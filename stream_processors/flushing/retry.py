"""Retries of a flush's steps until the store answers, and the record of consecutive failures."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from schemas.errors import StoreFailed, TallyhouseError
from schemas.flush import Claim
from schemas.metrics import Counter, Histogram, Metrics
from stream_processors.flushing.policy import Pause

_Answer = TypeVar("_Answer")

_ERROR_LENGTH = 500


class FlushFailure(msgspec.Struct, frozen=True, kw_only=True):
    """The consecutive failures since the last success."""

    claim: Claim | None
    """The flush that fails; None if it has no claim yet."""
    step: str
    error: str
    attempts: int
    seconds: float
    """Seconds since the first failure."""

    def __str__(self) -> str:
        return (
            f"{_flush_text(self.claim)} has been failing for {self.seconds:.0f} seconds; "
            f"attempt {self.attempts} failed at the step {self.step!r} with {self.error}. "
            "Nothing accepted is lost, and it is tried again until it succeeds, but until then nothing more is counted "
            "here. Mend what the error names; the run book (deploy/README.md) says how under 'A partition is stuck'."
        )


class Attempts:
    """Counts consecutive failures. The flushing thread alone may write it; any thread may read it."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._claim: Claim | None = None
        self._newest: FlushFailure | None = None
        self._since = 0.0

    @property
    def failure(self) -> FlushFailure | None:
        """None if the last attempt succeeded."""
        newest, since = self._newest, self._since
        return newest and msgspec.structs.replace(newest, seconds=self._monotonic() - since)

    def begin(self, claim: Claim) -> None:
        """Sets the current flush. A redo of a failed flush is the same flush."""
        self._claim = claim

    def fail(self, step: str, error: BaseException) -> int:
        """Records a failure, and returns how many there have been in a row."""
        if self._newest is None:
            self._since = self._monotonic()
        attempts = self._newest.attempts + 1 if self._newest else 1
        self._newest = FlushFailure(
            claim=self._claim, step=step, error=error_text(error), attempts=attempts, seconds=0.0
        )
        return attempts

    def advance(self) -> None:
        """Clears the failures of a flush that has written something since, and is not done yet."""
        self._newest = None

    def succeed(self) -> None:
        """Clears the failures: the flush is done, or there was nothing to do."""
        self._claim = None
        self._newest = None


class Retry:
    """Repeats one step of a flush while the store fails, and measures it."""

    def __init__(self, attempts: Attempts, pause: Pause, metrics: Metrics, monotonic: Callable[[], float]) -> None:
        self._attempts = attempts
        self._pause = pause
        self._metrics = metrics
        self._monotonic = monotonic

    async def until_answered(self, stage: str, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """The answer of `call`, which is repeated for as long as it raises StoreFailed.

        A failed call may have taken effect, so the flush must repeat this very step and may try no other.
        """
        attempt = 0
        began = self._monotonic()
        while True:
            try:
                answer = await call()
            except StoreFailed as error:
                attempt += 1
                self._attempts.fail(stage, error)
                self._metrics.count(Counter.STORE_RETRIES, 1, stage)
                await self._pause(attempt)
            else:
                self._metrics.observe(Histogram.FLUSH_SECONDS, self._monotonic() - began, stage)
                return answer


def error_text(error: BaseException) -> str:
    """The text of our own errors; of foreign errors only the type, because every account can read the status, and their
    text may quote an event."""
    if isinstance(error, TallyhouseError):
        return f"{type(error).__name__}: {' '.join(str(error).split())[:_ERROR_LENGTH]}"
    return f"{type(error).__name__} (the logs have its text)"


def _flush_text(claim: Claim | None) -> str:
    if claim is None:
        return "the next flush"
    if claim.is_barrier:
        return f"flush {claim.number} (no frames, a new meter set)"
    return f"flush {claim.number} (frames {claim.first} to {claim.last})"
