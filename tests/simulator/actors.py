"""The actors of a run: workers with a real `Partition` each, a real backfill, and a reader of usage."""

from collections.abc import Callable, Coroutine, Hashable

from schemas.errors import Alarm, StoreFailed
from stream_processors.core.bloom import BloomFilter
from stream_processors.flushing.backfill import Backfill
from stream_processors.flushing.partition import Partition
from tests.simulator.faults import CallOutcome
from tests.simulator.scheduler import PortCall, SimulatedTask


class Actor:
    """One coroutine of a process, which the scheduler may pause for any time."""

    def __init__(self, name: str, process: int) -> None:
        self.name = name
        self.process = process
        self.paused = False
        self.alarm: Alarm | None = None
        self.task = SimulatedTask(name, self._work())

    @property
    def ready(self) -> bool:
        return not self.paused and self.task.runnable

    @property
    def busy(self) -> bool:
        """True if it can continue, now or when the store has answered."""
        return self.ready or (not self.paused and self.task.waiting is not None and self.task.waiting.at_store)

    def state(self) -> Hashable:
        """Equal states have equal futures. The pending call adds what the memory, made of replies, does not show."""
        waiting = self.task.waiting
        return (self.name, self.task.memory, waiting and waiting.name, self.task.runnable, self.paused)

    def toggle(self) -> None:
        self.paused = not self.paused

    def remembers(self) -> Hashable:
        """The whole state of such an actor between two steps."""
        raise NotImplementedError

    async def step(self) -> None:
        """Does one unit of work."""
        raise NotImplementedError

    def has_more(self) -> bool:
        """True if there is work to do."""
        raise NotImplementedError

    def _work(self) -> Coroutine[PortCall, CallOutcome, None]:
        return self._for_ever()

    async def _for_ever(self) -> None:
        while True:
            self.task.memory = (self.name, self.remembers())
            try:
                await self.step()
            except StoreFailed:
                await PortCall("try again")
            except Alarm as alarm:
                self.alarm = alarm
                return
            if not self.has_more():
                self.task.memory = (self.name, self.remembers())
                await PortCall("rest", ready=self.has_more)


def _contents(keys: BloomFilter | None) -> Hashable:
    return keys and (keys.count, hash(keys._blocks.tobytes()))


class SimulatedWorker(Actor):
    """Steps one real `Partition` in an endless loop."""

    def __init__(self, name: str, process: int, partition: Partition, has_more: Callable[[Partition], bool]) -> None:
        self.partition = partition
        self._has_more = has_more
        super().__init__(name, process)

    def remembers(self) -> Hashable:
        growing = self.partition._filter
        return (self.partition.position, growing and (_contents(growing.keys), _contents(growing._larger)))

    async def step(self) -> None:
        await self.partition.step()

    def has_more(self) -> bool:
        return self.partition.position is None or self._has_more(self.partition)


class Backfiller(Actor):
    """Steps the real `Backfill` in an endless loop."""

    def __init__(self, name: str, process: int, backfill: Backfill, news: Callable[[], Hashable]) -> None:
        self.backfill = backfill
        self._version_seen = news
        self._done_at: Hashable = None
        super().__init__(name, process)

    def remembers(self) -> Hashable:
        waiting = tuple((meter.code, partition) for meter, partition in self.backfill._not_active)
        missing = tuple(chunk.receipt for chunk in self.backfill._missing)
        return (self.backfill._last_version, waiting, missing, self._done_at)

    async def step(self) -> None:
        news = self._version_seen()
        self._done_at = None if await self.backfill.step() else news

    def has_more(self) -> bool:
        """Only a flush or a new meter adds work."""
        return self._done_at != self._version_seen()
