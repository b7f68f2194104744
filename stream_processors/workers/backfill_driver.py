"""Runs the backfills of new meters in the background, with rests that give flushes priority."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from schemas.errors import Alarm
from schemas.logger import Logger, NullLogger
from schemas.metrics import Gauge, Metrics, NullMetrics
from stream_processors.flushing.policy import Pause
from stream_processors.flushing.retry import error_text
from stream_processors.workers.partition_driver import BOOTING, COUNTING, RETRYING, STOPPED, STUCK
from stream_processors.workers.policy import WorkerPolicy, exponential_backoff


class BackfillSteps(Protocol):
    """The backfills, as the driver calls them."""

    async def step(self) -> bool:
        """Does one unit of work; False if there is none yet."""
        ...


class BackfillDriver:
    """Runs until cancelled; a chunk without a receipt is counted again at the next start."""

    def __init__(
        self,
        backfill: BackfillSteps,
        policy: WorkerPolicy,
        *,
        logger: Logger | None = None,
        metrics: Metrics | None = None,
        pause: Pause = exponential_backoff,
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._backfill = backfill
        self._policy = policy
        self._logger = logger or NullLogger()
        self._metrics = metrics or NullMetrics()
        self._pause = pause
        self._rest = rest
        self._monotonic = monotonic
        self._state = BOOTING
        self._failures = 0
        self._failing_since = 0.0
        self._error = ""

    @property
    def state(self) -> str:
        """As that of a partition, in `PartitionStatus`."""
        if self._state != RETRYING or not self._is_failing_long():
            return self._state
        return (
            f"{STUCK}the backfill has been failing for {self._failing_seconds():.0f} seconds; attempt {self._failures} "
            f"failed with {self._error}. Events are counted meanwhile, but new meters lack a part of their past. It is "
            "tried again until it succeeds: mend what the error names"
        )

    @property
    def needs_operator(self) -> bool:
        """True after an alarm, and while it is stuck."""
        return self._state.startswith(STOPPED) or (self._state == RETRYING and self._is_failing_long())

    async def run(self) -> None:
        """Backfills every meter, present and future. Returns only after an alarm."""
        while True:
            try:
                await self._step_once()
            except Alarm as alarm:
                self._state = f"{STOPPED}{alarm}"
                self._logger.exception("backfills stopped: some meters lack a part of their backfill", alarm=str(alarm))
                self._report()
                return
            except Exception as error:
                self._fail(error)
                self._logger.exception("backfill failed, retrying", attempt=self._failures)
                await self._pause(self._failures)

    def _report(self) -> None:
        self._metrics.set(Gauge.BACKFILL_STUCK, self.needs_operator)

    def _fail(self, error: Exception) -> None:
        was_stuck = self.needs_operator
        if not self._failures:
            self._failing_since = self._monotonic()
        self._failures += 1
        self._error = error_text(error)
        self._state = RETRYING
        if self.needs_operator and not was_stuck:
            self._logger.error("backfill stuck: an operator must act", failure=self._error)
        self._report()

    def _succeed(self) -> None:
        if self.needs_operator:
            self._logger.info("backfill is no longer stuck")
        self._failures = 0
        self._state = COUNTING
        self._report()

    def _is_failing_long(self) -> bool:
        policy = self._policy
        return self._failures >= policy.stuck_attempts or self._failing_seconds() >= policy.stuck_seconds

    def _failing_seconds(self) -> float:
        return self._monotonic() - self._failing_since if self._failures else 0.0

    async def _step_once(self) -> None:
        began = self._monotonic()
        busy = await self._backfill.step()
        took = self._monotonic() - began
        self._succeed()
        await self._rest(took * self._policy.backfill_rest_ratio if busy else self._policy.poll_seconds)
