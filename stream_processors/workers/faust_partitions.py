"""The partitions of one cluster worker, from their assignment to their revocation."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from schemas.flush import PartitionStatus
from schemas.logger import Logger, NullLogger
from schemas.metrics import Gauge, Metrics, NullMetrics
from stream_processors.backends.log.buffered import BufferedLog, Stream
from stream_processors.backends.log.frame_buffer import DeliveredFrame
from stream_processors.workers.partition_driver import PartitionDriver

BACKGROUND_TASKS_PARTITION = 0
"""The owner of this partition also runs backfills and expiry, for all partitions."""

_OWNER_GAUGES = (Gauge.OWNED, Gauge.LAG_FRAMES, Gauge.LAG_SECONDS, Gauge.STUCK, Gauge.STOPPED, Gauge.FILTER_KEYS)

BackgroundTasks = Callable[[], Iterable[Coroutine[Any, Any, None]]]
"""Makes the coroutines of backfills and expiry, which run until cancelled. Two workers may run them while one has not
noticed its revocation: the store applies a chunk at most once by its receipt, and dropping a month is idempotent."""


class OwnedPartitions:
    """A new driver for each assigned partition. All methods but `statuses` belong to one event loop.

    An error here, even two owners of one partition, costs only time: the guards in the store keep counting exact.
    """

    def __init__(
        self,
        frames: BufferedLog,
        make_driver: Callable[[int], PartitionDriver],
        background_tasks: BackgroundTasks,
        *,
        revoke_seconds: float,
        logger: Logger | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._frames = frames
        self._make_driver = make_driver
        self._start_background_tasks = background_tasks
        self._revoke_seconds = revoke_seconds
        self._logger = logger or NullLogger()
        self._metrics = metrics or NullMetrics()
        self._drivers: dict[int, PartitionDriver] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._running_background_tasks: list[asyncio.Task[None]] = []
        self._changing = asyncio.Lock()
        """Serializes stops, revocations and assignments: they may overlap, and each waits for flushes."""

    @property
    def is_healthy(self) -> bool:
        """True if no owned partition is stopped by an alarm or stuck."""
        return not any(driver.has_stopped or driver.is_stuck for driver in list(self._drivers.values()))

    def push(self, delivered: DeliveredFrame) -> None:
        """Adds a frame to the buffer of its partition."""
        self._frames.push(delivered)

    def push_gap(self, partition: int, offset: int, acknowledge: Callable[[], object]) -> None:
        """Takes note of a record that is no frame."""
        self._frames.push_gap(partition, offset, acknowledge)

    async def assigned(self, partitions: Iterable[int], stream: Stream) -> None:
        """Takes over exactly these partitions, with a new driver for each."""
        given = set(partitions)
        async with self._changing:
            await self._release({*self._drivers, *given})
            for number in sorted(given):
                self._frames.assign(number, stream)
                self._drivers[number] = self._make_driver(number)
                self._tasks[number] = asyncio.create_task(self._drivers[number].run())
                self._metrics.set(Gauge.OWNED, 1, str(number))
            if BACKGROUND_TASKS_PARTITION in given:
                self._running_background_tasks = [asyncio.create_task(task) for task in self._start_background_tasks()]
        self._logger.info("partitions assigned", partitions=sorted(given))

    async def revoked(self, partitions: Iterable[int]) -> None:
        """Stops the drivers. Running flushes get `revoke_seconds` to finish; the next owner redoes the others."""
        async with self._changing:
            await self._release(partitions)

    async def finish(self, seconds: float) -> None:
        """Waits at most `seconds` for the running flushes, so that the next owner has nothing to redo."""
        async with self._changing:
            for driver in self._drivers.values():
                driver.stop()
            await self._end(list(self._drivers), seconds)

    async def statuses(self) -> Sequence[PartitionStatus]:
        """The status of each owned partition. May be called from any event loop."""
        return [await driver.status() for _, driver in sorted(self._drivers.items())]

    async def report(self) -> None:
        """Logs stuck partitions, and sets the gauges of lag and state."""
        for driver in list(self._drivers.values()):
            await driver.report()

    async def _release(self, partitions: Iterable[int]) -> None:
        lost = [number for number in partitions if number in self._drivers]
        for number in lost:
            self._drivers[number].stop()
            self._frames.revoke(number)
        await self._end(lost, self._revoke_seconds)
        if lost:
            self._logger.info("partitions revoked", partitions=lost)

    async def _end(self, numbers: Sequence[int], seconds: float) -> None:
        counting = {self._tasks[number] for number in numbers}
        background_tasks = set(self._running_background_tasks) if BACKGROUND_TASKS_PARTITION in numbers else set()
        for task in background_tasks:
            task.cancel()
        late = await _unfinished(counting, seconds)
        for task in late:
            task.cancel()
        if late:
            self._logger.warning(
                "flushes were cancelled; the next owner of their partitions redoes them", flushes=len(late)
            )
        await _unfinished(late | background_tasks, seconds)
        for number in numbers:
            del self._drivers[number], self._tasks[number]
            self._frames.revoke(number)
            for gauge in _OWNER_GAUGES:
                self._metrics.set(gauge, 0, str(number))


async def _unfinished(tasks: set[asyncio.Task[None]], seconds: float) -> set[asyncio.Task[None]]:
    """The tasks that have not ended after `seconds`."""
    return (await asyncio.wait(tasks, timeout=seconds))[1] if tasks else set()
