"""Drives one partition: gather until a flush is worth it, flush, again. Where the frames come from is all the same."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from schemas.errors import Alarm, LogGap, Revoked
from schemas.flush import PartitionStatus
from schemas.logger import Logger, NullLogger
from schemas.metrics import Gauge, Histogram, Metrics, NullMetrics
from schemas.timestamps import SECOND
from stream_processors.flushing.partition import Position
from stream_processors.flushing.policy import Pause
from stream_processors.flushing.retry import Attempts, FlushFailure
from stream_processors.ports import LogTail
from stream_processors.workers.lag import lag_of
from stream_processors.workers.policy import WorkerPolicy, exponential_backoff

BOOTING = "booting"
COUNTING = "counting"
RETRYING = "retrying"
STUCK = "stuck: "
STOPPED = "stopped: "

_START = Position(number=0, offset=0, version=0)


class PartitionSteps(Protocol):
    """A partition, as its driver sees it."""

    @property
    def number(self) -> int: ...

    @property
    def position(self) -> Position | None: ...

    @property
    def attempts(self) -> Attempts: ...

    async def step(self) -> int:
        """Flush what is waiting; how many frames that were."""
        ...


class PartitionDriver:
    """Runs one partition until told to stop, or until an alarm; other partitions never notice."""

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
    ) -> None:
        self._partition = partition
        self._tail = tail
        self._policy = policy
        self._clock = clock
        self._logger = (logger or NullLogger()).bind(partition=partition.number)
        self._metrics = metrics or NullMetrics()
        self._pause = pause
        self._stopping = False
        self._state = BOOTING
        self._reported_stuck = False
        self._last_position = _START

    @property
    def has_stopped(self) -> bool:
        """An alarm ended it: a person must look."""
        return self._state.startswith(STOPPED)

    @property
    def is_stuck(self) -> bool:
        """Its flush fails again and again: a person must look, and it goes on when the cause is mended."""
        return not self.has_stopped and self._is_stuck(self._partition.attempts.failure)

    @property
    def state(self) -> str:
        """As in `PartitionStatus`."""
        failure = self._partition.attempts.failure
        if self.has_stopped or failure is None:
            return self._state
        return f"{STUCK}{failure}" if self._is_stuck(failure) else RETRYING

    def stop(self) -> None:
        """Begin no other flush."""
        self._stopping = True

    async def run(self) -> None:
        """Flush until stopped, or until the partition is someone else's."""
        attempts = self._partition.attempts
        while not self._stopping:
            try:
                await self._flush_once()
                attempts.succeed()
            except Revoked:
                return
            except Alarm as alarm:
                self._state = f"{STOPPED}{alarm}"
                self._logger.exception("partition stopped: nothing more is counted here", alarm=str(alarm))
                return
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and _is_being_cancelled():
                    raise
                # Whatever it was: a flush can always be begun again, and giving up would stop the counting.
                attempt = attempts.fail("flush", error)
                self._logger.exception("flush failed, it is tried again", attempt=attempt)
                await self._pause(attempt)

    async def status(self) -> PartitionStatus:
        """Where the partition stands; may be asked from any event loop."""
        self._last_position = self._partition.position or self._last_position
        position, number = self._last_position, self._partition.number
        lag = await lag_of(self._tail, number, position.offset, self._clock())
        return PartitionStatus(
            partition=number,
            flush=position.number - 1 if position.number else None,
            next_offset=position.offset,
            end_offset=lag.end_offset,
            lag_frames=lag.frames,
            lag_seconds=lag.seconds,
            state=self.state,
        )

    async def report(self) -> None:
        """Tell of trouble, and measure the lag."""
        self._report_trouble()
        status = await self.status()
        self._metrics.set(Gauge.LAG_FRAMES, status.lag_frames, str(status.partition))
        self._metrics.set(Gauge.LAG_SECONDS, status.lag_seconds, str(status.partition))

    def _report_trouble(self) -> None:
        stuck, partition = self.is_stuck, str(self._partition.number)
        self._metrics.set(Gauge.STUCK, stuck, partition)
        self._metrics.set(Gauge.STOPPED, self.has_stopped, partition)
        if stuck and not self._reported_stuck:
            self._logger.error("partition stuck: a person must look", failure=str(self._partition.attempts.failure))
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
        """Wait until a flush is worth it; when its oldest frame arrived.

        What came during a slow flush is older than the linger and goes at once. With nothing there it returns
        after a while all the same: a new meter set is flushed without frames.
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
    """A task of some client, cancelled while a flush waited for it, raises the same as our own end, and is not it."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
