"""Runs the backfills of new meters in the background, with rests that give flushes priority."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from schemas.errors import Alarm
from schemas.logger import Logger, NullLogger
from stream_processors.flushing.policy import Pause
from stream_processors.workers.partition_driver import BOOTING, COUNTING, RETRYING, STOPPED
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
        pause: Pause = exponential_backoff,
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._backfill = backfill
        self._policy = policy
        self._logger = logger or NullLogger()
        self._pause = pause
        self._rest = rest
        self._monotonic = monotonic
        self._state = BOOTING

    @property
    def state(self) -> str:
        """`booting`, `counting`, `retrying`, or `stopped: ` and the alarm's message."""
        return self._state

    async def run(self) -> None:
        """Backfills every meter, present and future. Returns only after an alarm."""
        failures = 0
        while True:
            try:
                await self._step_once()
                failures = 0
                self._state = COUNTING
            except Alarm as alarm:
                self._state = f"{STOPPED}{alarm}"
                self._logger.exception("backfills stopped: some meters lack a part of their backfill", alarm=str(alarm))
                return
            except Exception:
                failures += 1
                self._state = RETRYING
                self._logger.exception("backfill failed, retrying", attempt=failures)
                await self._pause(failures)

    async def _step_once(self) -> None:
        began = self._monotonic()
        busy = await self._backfill.step()
        took = self._monotonic() - began
        await self._rest(took * self._policy.backfill_rest_ratio if busy else self._policy.poll_seconds)
