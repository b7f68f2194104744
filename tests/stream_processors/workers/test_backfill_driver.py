"""The driver of backfills retries after any failure, and reports its state."""

import asyncio

import pytest

from schemas.errors import Alarm, StoreFailed
from schemas.metrics import Gauge, NullMetrics
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
    assert states == ["counting", "retrying", "retrying", "counting", "counting"]
    assert pauses == [1, 2]
    assert driver.state == "stopped: a frame cannot be read"


class Endless:
    """Fails until `error` is None."""

    def __init__(self, error: Exception) -> None:
        self.error: Exception | None = error

    async def step(self) -> bool:
        if self.error is not None:
            raise self.error
        return True


class GaugeValues(NullMetrics):
    """The last value of each gauge."""

    def __init__(self) -> None:
        self.values: dict[Gauge, float] = {}

    def set(self, metric: Gauge, value: float, *_labels: str) -> None:
        self.values[metric] = value


async def test_a_backfill_that_keeps_failing_is_stuck_until_it_succeeds() -> None:
    """By the number of its failures, or after a while; the state names the error, but quotes no event."""
    steps, metrics, failures, states = Endless(StoreFailed("Query memory limit exceeded")), GaugeValues(), [], []

    async def pause(attempt: int) -> None:
        failures.append(attempt)
        states.append((driver.needs_operator, driver.state))
        if attempt == 4:
            assert metrics.values == {Gauge.BACKFILL_STUCK: True}
            steps.error = None

    async def rest(_seconds: float) -> None:
        assert (driver.needs_operator, driver.state) == (False, "counting")
        assert metrics.values == {Gauge.BACKFILL_STUCK: False}
        raise Alarm("the end")

    policy = WorkerPolicy(stuck_attempts=3)
    driver = BackfillDriver(steps, policy, pause=pause, rest=rest, metrics=metrics, monotonic=lambda: 0.0)
    async with asyncio.timeout(10):
        await driver.run()
    assert failures == [1, 2, 3, 4]
    assert [stuck for stuck, _ in states] == [False, False, True, True]
    assert states[0][1] == "retrying"
    assert states[2][1].startswith("stuck: the backfill has been failing")
    assert "attempt 3 failed with StoreFailed: Query memory limit exceeded" in states[2][1]
    assert driver.needs_operator


async def test_a_backfill_that_fails_for_a_minute_is_stuck() -> None:
    """Whatever the number of attempts."""
    now = [0.0]

    async def pause(attempt: int) -> None:
        assert driver.needs_operator is (attempt == 2)
        now[0] += 60.0
        if attempt == 2:
            assert "secret" not in driver.state
            raise asyncio.CancelledError

    driver = BackfillDriver(Endless(ValueError("a secret")), WorkerPolicy(), pause=pause, monotonic=lambda: now[0])
    with pytest.raises(asyncio.CancelledError):
        await driver.run()
