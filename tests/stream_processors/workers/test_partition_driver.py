"""A driver flushes when it is worth it, and a failure affects only its own partition."""

import asyncio
import time
from collections.abc import Callable
from typing import Self

import pytest

from schemas.errors import Alarm, AwaitsDecision, StoreFailed
from schemas.frame import NewFrame
from schemas.timestamps import SECOND
from stream_processors.backends.log.memory import MemoryFrameLog
from stream_processors.flushing.partition import Position
from stream_processors.flushing.retry import Attempts
from stream_processors.workers.partition_driver import PartitionDriver, WaitingFrames, lag_of
from stream_processors.workers.policy import WorkerPolicy

pytestmark = pytest.mark.anyio

DEADLINE = 10.0
NOW = 1_000 * SECOND


class FlushingSteps:
    """A partition that flushes all waiting frames, after scripted failures."""

    def __init__(self, log: MemoryFrameLog, failures: list[BaseException] | None = None) -> None:
        self.number = 0
        self.position: Position | None = None
        self.attempts = Attempts(time.monotonic)
        self.steps: list[int] = []
        self._log = log
        self._failures = failures or []

    async def step(self) -> int:
        start = self.position.offset if self.position else 0
        if self._failures:
            raise self._failures.pop(0)
        frames = await self._log.read(0, start, max_bytes=10**9)
        number = self.position.number if self.position else 0
        self.position = Position(number=number + bool(frames), offset=start + len(frames), version=0)
        self.steps.append(len(frames))
        return len(frames)


async def append(log: MemoryFrameLog, count: int = 1, arrival: int = NOW) -> None:
    await log.append([NewFrame(partition=0, arrival=arrival, payload=b"x")] * count)


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "the condition did not hold in time"
        await asyncio.sleep(0.001)


class Running:
    """A running driver on a log in memory, with a stopped clock."""

    def __init__(self, policy: WorkerPolicy, failures: list[BaseException] | None = None) -> None:
        self.log = MemoryFrameLog(1)
        self.steps = FlushingSteps(self.log, failures)
        self.pauses: list[int] = []
        self.pauses_see: Callable[[], object] = lambda: None
        self.driver = PartitionDriver(self.steps, self.log, policy, clock=lambda: NOW, pause=self._pause)

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.driver.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.driver.stop()
        async with asyncio.timeout(DEADLINE):
            await asyncio.wait([self.task])
        assert self.task.cancelled() or self.task.exception() is None

    async def _pause(self, attempt: int) -> None:
        self.pauses.append(attempt)
        self.pauses_see()


FOR_EVER = WorkerPolicy(flush_linger=3600 * SECOND, flush_frames=3, poll_seconds=0.01)


async def test_a_partition_has_booted_when_its_position_is_known() -> None:
    """Not while its store fails at the first step: what the store lacks is found with the position."""
    running = Running(FOR_EVER, [StoreFailed("no answer"), StoreFailed("no answer")])
    seen: list[bool] = []
    running.pauses_see = lambda: seen.append(running.driver.has_booted)
    assert not running.driver.has_booted
    async with running:
        await until(lambda: running.driver.has_booted)
    assert seen == [False, False]


async def test_frames_wait_for_more() -> None:
    """A few young frames are not flushed; enough of them are, together."""
    async with Running(FOR_EVER) as running:
        await until(lambda: len(running.steps.steps) >= 3)
        await append(running.log, 2)
        before = len(running.steps.steps)
        await until(lambda: running.log.end_offset(0) == 2)
        assert sum(running.steps.steps) == 0
        await append(running.log, 1)
        await until(lambda: sum(running.steps.steps) == 3)
        assert [frames for frames in running.steps.steps[before:] if frames] == [3]


async def test_the_linger_is_the_longest_wait() -> None:
    """A single frame is flushed when its linger is over."""
    async with Running(WorkerPolicy(flush_linger=SECOND // 20, poll_seconds=0.01)) as running:
        await until(lambda: running.steps.position is not None)
        began = time.monotonic()
        await append(running.log)
        await until(lambda: sum(running.steps.steps) == 1)
        assert time.monotonic() - began >= 0.04


async def test_old_frames_are_flushed_at_once() -> None:
    """Frames that arrived during a slow flush do not linger."""
    async with Running(WorkerPolicy(flush_linger=3600 * SECOND, poll_seconds=3600)) as running:
        await until(lambda: running.steps.position is not None)
        await append(running.log, arrival=NOW - 3600 * SECOND)
        await until(lambda: sum(running.steps.steps) == 1)
        await append(running.log, arrival=NOW - 3600 * SECOND)
        await until(lambda: sum(running.steps.steps) == 2)
        assert [frames for frames in running.steps.steps if frames] == [1, 1]
        running.driver.stop()
        await append(running.log, arrival=NOW - 3600 * SECOND)


async def test_failures_are_retried() -> None:
    """Any failure is retried after a growing pause, and a success clears the failures."""
    failures: list[BaseException] = [StoreFailed("no answer"), ValueError("a bug"), StoreFailed("no answer")]
    async with Running(WorkerPolicy(poll_seconds=0.01), failures) as running:
        await until(lambda: len(running.steps.steps) >= 2)
        assert running.pauses == [1, 2, 3]
        assert (await running.driver.status()).state == "counting"


async def test_a_cancellation_from_elsewhere_is_a_failure() -> None:
    """A cancelled task of a client must not silently end the driver; cancelling the driver itself does end it."""
    async with Running(WorkerPolicy(poll_seconds=0.01), [asyncio.CancelledError()]) as running:
        await append(running.log, 1, arrival=NOW - SECOND)
        await until(lambda: sum(running.steps.steps) == 1)
        assert running.pauses == [1]
        running.task.cancel()
        await until(running.task.done)
        assert running.task.cancelled()


async def test_an_alarm_stops_the_partition_and_is_reported() -> None:
    """After an alarm nothing more is flushed, and the status has the reason and the position."""
    async with Running(WorkerPolicy(poll_seconds=0.01), [Alarm("the log has a gap")]) as running:
        await append(running.log, 2, arrival=NOW - 5 * SECOND)
        await until(lambda: running.driver.has_stopped)
        status = await running.driver.status()
        assert status.state == "stopped: the log has a gap"
        assert (status.flush, status.next_offset, status.end_offset) == (None, 0, 2)
        assert (status.lag_frames, status.lag_seconds) == (2, 5.0)
        assert running.steps.steps == []


async def test_the_status_follows_the_flushes() -> None:
    """The last flush done, the next offset and the lag are those of the partition."""
    async with Running(WorkerPolicy(flush_linger=0, poll_seconds=0.01)) as running:
        await append(running.log, 4)
        await until(lambda: sum(running.steps.steps) == 4)
        status = await running.driver.status()
        assert (status.flush, status.next_offset, status.lag_frames, status.lag_seconds) == (0, 4, 0, 0.0)


async def test_a_log_that_ends_before_the_counted_frames_is_an_alarm() -> None:
    """New frames would get offsets that were already read, and would never be counted."""
    policy = WorkerPolicy(poll_seconds=0.01)
    log = MemoryFrameLog(1)
    steps = FlushingSteps(log)
    steps.position = Position(number=3, offset=7, version=0)
    driver = PartitionDriver(steps, log, policy, clock=lambda: NOW)
    await driver.run()
    assert driver.has_stopped
    assert "older than the usage store" in (await driver.status()).state


async def test_a_stopped_partition_continues_when_an_operator_has_decided() -> None:
    """The alarm shows until then, and is logged once; no restart is needed."""
    alarms: list[BaseException] = [AwaitsDecision("partition 0, offset 7: damaged") for _ in range(3)]
    async with Running(WorkerPolicy(flush_linger=0, poll_seconds=0.01), alarms) as running:
        states: list[str] = []
        running.pauses_see = lambda: states.append(running.driver.state)
        await append(running.log)
        await until(lambda: sum(running.steps.steps) == 1)
        assert states == ["stopped: partition 0, offset 7: damaged"] * 3
        assert not running.driver.has_stopped


class UnreadableTail(MemoryFrameLog):
    """A log whose next frame cannot be read."""

    async def oldest_arrival(self, partition: int, start: int) -> int | None:
        raise AwaitsDecision("damaged")


async def test_the_lag_before_an_unreadable_record_is_known_in_frames() -> None:
    log = UnreadableTail(1)
    await append(log, 3)
    assert await lag_of(log, 0, 1, NOW) == (3, 2, 0.0, "stopped: damaged")


async def test_offsets_without_frames_at_the_end_are_no_lag() -> None:
    """A log whose last records are foreign has nothing that waits."""

    class ForeignTail(MemoryFrameLog):
        async def oldest_arrival(self, partition: int, start: int) -> int | None:
            return None

    log = ForeignTail(1)
    await append(log, 3)
    assert await lag_of(log, 0, 1, NOW) == (3, 0, 0.0, "")


def test_waiting_is_measured_from_the_first_sight_of_a_frame() -> None:
    """It begins again with every frame, and with every partition."""
    clock = iter([0.0, 5.0, 7.0, 9.0, 10.0, 20.0])
    waiting = WaitingFrames(clock.__next__)
    assert [waiting.seconds(0, 4, 1), waiting.seconds(0, 4, 9)] == [0, 5]
    assert waiting.seconds(1, 4, 1) == 0
    assert waiting.seconds(0, 5, 1) == 0
    assert waiting.seconds(0, 5, 0) == 0
    assert [waiting.seconds(0, 5, 1), waiting.seconds(0, 5, 1)] == [0, 10]
