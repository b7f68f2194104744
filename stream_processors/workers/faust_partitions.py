"""What one worker counts: the partitions its group gave it, from the moment of that until they are taken away."""

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
"""Who owns this partition also does what is done once for all of them."""

_OWNER_GAUGES = (Gauge.OWNED, Gauge.LAG_FRAMES, Gauge.LAG_SECONDS, Gauge.STUCK, Gauge.STOPPED, Gauge.FILTER_KEYS)

BackgroundTasks = Callable[[], Iterable[Coroutine[Any, Any, None]]]
"""Begins backfills and expiry, to run until cancelled. Two workers may be at them for as long as one has not noticed
that it lost its partitions: a chunk is put into the store at most once by its receipt, and a month can be dropped any
number of times."""


class OwnedPartitions:
    """Each has a driver of its own with a partition that remembers nothing. Belongs to the event loop that calls it.

    Whatever goes wrong in here, two owners at once included, costs time only: the store's guards decide.
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
        self._give_up_seconds = revoke_seconds
        self._logger = logger or NullLogger()
        self._metrics = metrics or NullMetrics()
        self._drivers: dict[int, PartitionDriver] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._running_background_tasks: list[asyncio.Task[None]] = []
        self._changing = asyncio.Lock()
        """A stop, a revocation and an assignment may come at the same moment, and each of them waits for flushes."""

    @property
    def is_healthy(self) -> bool:
        """No partition that is owned has stopped by an alarm, or is stuck."""
        return not any(driver.has_stopped or driver.is_stuck for driver in list(self._drivers.values()))

    def push(self, delivered: DeliveredFrame) -> None:
        """What the stream brings."""
        self._frames.push(delivered)

    async def assigned(self, partitions: Iterable[int], stream: Stream) -> None:
        """These, and no others, are ours: boot each and count it."""
        given = set(partitions)
        async with self._changing:
            await self._release({*self._drivers, *given})
            for number in sorted(given):
                self._frames.assign(number, stream)
                self._drivers[number] = self._make_driver(number)
                self._tasks[number] = asyncio.create_task(self._drivers[number].run())
                self._metrics.set(Gauge.OWNED, 1, str(number))
            if BACKGROUND_TASKS_PARTITION in given:
                self._running_background_tasks = [asyncio.create_task(duty) for duty in self._start_background_tasks()]
        self._logger.info("partitions assigned", partitions=sorted(given))

    async def revoked(self, partitions: Iterable[int]) -> None:
        """Let go of everything of theirs. A running flush may end, within reason; the next owner redoes the others."""
        async with self._changing:
            await self._release(partitions)

    async def finish(self, seconds: float) -> None:
        """Let the running flushes end and be acknowledged, so that whoever is next has nothing to redo."""
        async with self._changing:
            for driver in self._drivers.values():
                driver.stop()
            await self._end(list(self._drivers), seconds)

    async def statuses(self) -> Sequence[PartitionStatus]:
        """How far each partition is counted; may be asked from any event loop."""
        return [await driver.status() for _, driver in sorted(self._drivers.items())]

    async def report(self) -> None:
        """Tell of trouble, and measure the lag."""
        for driver in list(self._drivers.values()):
            await driver.report()

    async def _release(self, partitions: Iterable[int]) -> None:
        lost = [number for number in partitions if number in self._drivers]
        for number in lost:
            self._drivers[number].stop()
            self._frames.revoke(number)
        await self._end(lost, self._give_up_seconds)
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
            self._logger.warning("flushes were given up; whoever owns their partitions redoes them", flushes=len(late))
        await _unfinished(late | background_tasks, seconds)
        for number in numbers:
            del self._drivers[number], self._tasks[number]
            self._frames.revoke(number)
            for gauge in _OWNER_GAUGES:
                self._metrics.set(gauge, 0, str(number))


async def _unfinished(tasks: set[asyncio.Task[None]], seconds: float) -> set[asyncio.Task[None]]:
    """Those that have not ended after so many seconds."""
    return (await asyncio.wait(tasks, timeout=seconds))[1] if tasks else set()
