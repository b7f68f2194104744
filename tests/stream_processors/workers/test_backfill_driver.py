"""The driver of backfills retries after any failure, and reports its state."""

import asyncio

import pytest

from schemas.errors import Alarm, StoreFailed
from stream_processors.workers.backfill_driver import BackfillDriver
from stream_processors.workers.policy import WorkerPolicy

pytestmark = pytest.mark.anyio


class Failing:
    """Steps with scripted results; an exception among them is raised."""

    def __init__(self, *outcomes: Exception | bool) -> None:
        self._outcomes = list(outcomes)

    async def step(self) -> bool:
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def test_its_state_follows_failures_and_alarms() -> None:
    """Counting, retrying after a failure, counting again, and stopped by an alarm that it names."""
    states, pauses = [], []

    async def rest(_seconds: float) -> None:
        states.append(driver.state)

    async def pause(attempt: int) -> None:
        pauses.append(attempt)
        states.append(driver.state)

    steps = Failing(True, StoreFailed("no answer"), ValueError("a bug"), False, True, Alarm("a frame cannot be read"))
    driver = BackfillDriver(steps, WorkerPolicy(), pause=pause, rest=rest)
    async with asyncio.timeout(10):
        await driver.run()
    assert states == ["booting", "retrying", "retrying", "retrying", "counting"]
    assert pauses == [1, 2]
    assert driver.state == "stopped: a frame cannot be read"
