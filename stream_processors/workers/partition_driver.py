"""Runs one partition in a loop (wait until a flush is worth it, then flush), and reports its state and lag."""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from schemas.errors import Alarm, AwaitsDecision, LogGap, Revoked
from schemas.flush import PartitionStatus
from schemas.logger import Logger, NullLogger
from schemas.metrics import Gauge, Histogram, Metrics, NullMetrics
from schemas.timestamps import SECOND
from stream_processors.flushing.partition import Position
from stream_processors.flushing.policy import Pause
from stream_processors.flushing.retry import Attempts, FlushFailure
from stream_processors.ports import LogTail
from stream_processors.workers.policy import WorkerPolicy, exponential_backoff

BOOTING = "booting"
COUNTING = "counting"
RETRYING = "retrying"
STUCK = "stuck: "
STOPPED = "stopped: "

_DECISION_ATTEMPT = 7
"""The backoff of this attempt, 6 seconds, lies between two looks for an operator's decision."""

_START = Position(number=0, offset=0, version=0)


class Lag(NamedTuple):
    """The frames in the log that are not yet counted, and their age."""

    end_offset: int
    frames: int
    seconds: float
    """The age of the oldest of them, by its arrival."""
    alarm: str = ""
    """The state of a partition whose next record cannot be read."""


async def lag_of(tail: LogTail, partition: int, next_offset: int, now: int) -> Lag:
    """The lag of a partition whose frames are counted up to but excluding `next_offset`. Raises StoreFailed."""
    end = tail.end_offset(partition)
    frames = max(end - next_offset, 0)
    try:
        oldest = await tail.oldest_arrival(partition, next_offset)
    except Alarm as alarm:
        return Lag(end, frames, 0.0, f"{STOPPED}{alarm}")
    # Offsets without a frame, at the end of a log, are nothing that waits.
    return Lag(end, 0, 0.0) if oldest is None else Lag(end, frames, max(now - oldest, 0) / SECOND)


class WaitingFrames:
    """For how long this process has seen each partition's next frame wait.

    Measured by a monotonic clock: the age by arrival is 0 while arrivals are ahead of this machine's clock.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._since: dict[int, tuple[int, float]] = {}

    def seconds(self, partition: int, next_offset: int, lag_frames: int) -> float:
        """Seconds since the first call with this offset; 0 if nothing waits."""
        if not lag_frames:
            self._since.pop(partition, None)
            return 0.0
        now = self._monotonic()
        offset, since = self._since.get(partition, (None, now))
        if offset != next_offset:
            self._since[partition] = next_offset, now
            return 0.0
        return now - since


class PartitionSteps(Protocol):
    """A partition, as the driver calls it."""

    @property
    def number(self) -> int: ...

    @property
    def position(self) -> Position | None: ...

    @property
    def attempts(self) -> Attempts: ...

    async def step(self) -> int:
        """Flushes the waiting frames and returns how many it took."""
        ...


class PartitionDriver:
    """Runs one partition until `stop`, a revocation or an alarm, without effect on other partitions."""

    def __init__(
        self,
        partition: PartitionSteps,
        tail: LogTail,
        policy: WorkerPolicy,
        *,
        clock: Callable[[], int],
        logger: Logger | None = None,
        metrics: Metrics | None = None,
        pause: Pause = exponential_backoff,
        monotonic: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._partition = partition
        self._tail = tail
        self._policy = policy
        self._clock = clock
        self._logger = (logger or NullLogger()).bind(partition=partition.number)
        self._metrics = metrics or NullMetrics()
        self._pause = pause
        self._waiting = WaitingFrames(monotonic)
        self._stopping = False
        self._state = BOOTING
        self._log_alarm: str | None = None
        self._reported_stuck = False
        self._last_position = _START

    @property
    def has_stopped(self) -> bool:
        """True after an alarm: an operator must act."""
        return self._state.startswith(STOPPED)

    @property
    def is_caught_up(self) -> bool:
        """True if no frame waits, and no flush runs. May be read from any thread."""
        position = self._partition.position
        return position is not None and self._tail.end_offset(self._partition.number) <= position.offset

    @property
    def has_booted(self) -> bool:
        """False until the position is read for the first time: whether the store is whole is not known before."""
        return self._state != BOOTING or self._partition.position is not None

    @property
    def log_alarm(self) -> str | None:
        """The alarm that stopped it because the log lacks frames: what is appended now may be lost. None otherwise."""
        return self._log_alarm

    @property
    def is_stuck(self) -> bool:
        """True while its flush keeps failing: an operator must act, and it continues when the cause is fixed."""
        return not self.has_stopped and self._is_stuck(self._partition.attempts.failure)

    @property
    def state(self) -> str:
        """The state, as in `PartitionStatus`."""
        failure = self._partition.attempts.failure
        if self.has_stopped or failure is None:
            return self._state
        return f"{STUCK}{failure}" if self._is_stuck(failure) else RETRYING

    def stop(self) -> None:
        """Lets the running flush finish, and starts no other."""
        self._stopping = True

    async def run(self) -> None:
        """Flushes until `stop`, or until a revocation or an alarm."""
        attempts = self._partition.attempts
        while not self._stopping:
            try:
                await self._flush_once()
                attempts.succeed()
            except Revoked:
                return
            except AwaitsDecision as alarm:
                self._stop_for(alarm)
                await self._pause(_DECISION_ATTEMPT)
            except Alarm as alarm:
                self._log_alarm = str(alarm) if isinstance(alarm, LogGap) else None
                self._stop_for(alarm)
                return
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and _is_being_cancelled():
                    raise
                # Any other error: a flush can always be redone, and stopping would halt the partition.
                attempt = attempts.fail("flush", error)
                self._logger.exception("flush failed, retrying", attempt=attempt)
                await self._pause(attempt)

    def _stop_for(self, alarm: Alarm) -> None:
        state = f"{STOPPED}{alarm}"
        if state != self._state:
            self._state = state
            self._logger.error("partition stopped: nothing more is counted here", alarm=str(alarm), exc_info=alarm)

    async def status(self) -> PartitionStatus:
        """The partition's status. May be called from any event loop."""
        self._last_position = self._partition.position or self._last_position
        position, number = self._last_position, self._partition.number
        lag = await lag_of(self._tail, number, position.offset, self._clock())
        return PartitionStatus(
            partition=number,
            flush=position.number - 1 if position.number else None,
            next_offset=position.offset,
            end_offset=lag.end_offset,
            lag_frames=lag.frames,
            lag_seconds=max(lag.seconds, self._waiting.seconds(number, position.offset, lag.frames)),
            state=self.state,
        )

    async def report(self) -> None:
        """Logs when the partition becomes stuck or recovers, and sets the gauges of lag and state."""
        self._report_stuck()
        status = await self.status()
        self._metrics.set(Gauge.LAG_FRAMES, status.lag_frames, str(status.partition))
        self._metrics.set(Gauge.LAG_SECONDS, status.lag_seconds, str(status.partition))

    def _report_stuck(self) -> None:
        stuck, partition = self.is_stuck, str(self._partition.number)
        self._metrics.set(Gauge.STUCK, stuck, partition)
        self._metrics.set(Gauge.STOPPED, self.has_stopped, partition)
        if stuck and not self._reported_stuck:
            self._logger.error("partition stuck: an operator must act", failure=str(self._partition.attempts.failure))
        elif self._reported_stuck and not stuck:
            self._logger.info("partition is no longer stuck")
        self._reported_stuck = stuck

    def _is_stuck(self, failure: FlushFailure | None) -> bool:
        policy = self._policy
        return failure is not None and (
            failure.attempts >= policy.stuck_attempts or failure.seconds >= policy.stuck_seconds
        )

    async def _flush_once(self) -> None:
        position = self._partition.position
        oldest = None if position is None else await self._gather(position)
        if self._stopping:
            return
        frames = await self._partition.step()
        self._state = COUNTING
        if frames and oldest is not None:
            self._metrics.observe(Histogram.VISIBLE_SECONDS, max(self._clock() - oldest, 0) / SECOND)

    def _check_log_reaches(self, position: Position) -> None:
        end = self._tail.end_offset(self._partition.number)
        if end < position.offset:
            raise LogGap(
                f"partition {self._partition.number}: frames up to {position.offset - 1} are counted, but the log ends "
                f"at {end - 1}. What is appended now would never be read. The log is older than the usage store: "
                "restore the two together."
            )

    async def _gather(self, position: Position) -> int | None:
        """Waits until a flush is worth it, and returns the arrival of its oldest frame.

        Frames that arrived during a slow flush are older than the linger and are flushed at once. Without frames it
        returns None after `poll_seconds`, because a new meter set needs a flush without frames.
        """
        number, policy = self._partition.number, self._policy
        self._check_log_reaches(position)
        await self._tail.wait(number, position.offset, policy.poll_seconds)
        oldest = await self._tail.oldest_arrival(number, position.offset)
        if oldest is not None:
            linger = min(oldest + policy.flush_linger - self._clock(), policy.flush_linger)
            if linger > 0 and not self._stopping:
                await self._tail.wait(number, position.offset + policy.flush_frames - 1, linger / SECOND)
        return oldest


def _is_being_cancelled() -> bool:
    """True if the current task itself is being cancelled. An awaited task that is cancelled raises the same error."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
