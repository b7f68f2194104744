"""A worker releases each partition once, for any number of simultaneous stops and revocations."""

import asyncio
from collections.abc import Iterable

import pytest

from stream_processors.backends.log.buffered import BufferedLog
from stream_processors.backends.log.memory import MemoryFrameLog
from stream_processors.flushing.partition import Position
from stream_processors.flushing.retry import Attempts
from stream_processors.workers.faust_partitions import OwnedPartitions
from stream_processors.workers.partition_driver import PartitionDriver
from stream_processors.workers.policy import WorkerPolicy

pytestmark = pytest.mark.anyio

PARTITIONS = (0, 1, 2)
SOON, DEADLINE = 0.05, 30.0
"""Seconds after which running flushes are cancelled."""


class Flush:
    """A partition in the middle of a flush that ends on demand."""

    position: Position | None = None

    def __init__(self, number: int) -> None:
        self.number = number
        self.attempts = Attempts(lambda: 0.0)
        self.started = asyncio.Event()
        self.may_end = asyncio.Event()

    async def step(self) -> int:
        self.started.set()
        await self.may_end.wait()
        return 0


class FakeGroup:
    """Assigns and revokes partitions; it delivers no frames."""

    def __init__(self, revoke_seconds: float = DEADLINE) -> None:
        frames = BufferedLog(MemoryFrameLog(len(PARTITIONS)))
        self.flushes: list[Flush] = []
        self._frames = frames
        self.owned = OwnedPartitions(frames, self._driver, lambda: (), revoke_seconds=revoke_seconds)

    def _driver(self, number: int) -> PartitionDriver:
        flush = Flush(number)
        self.flushes.append(flush)
        return PartitionDriver(flush, self._frames, WorkerPolicy(), clock=lambda: 0)

    async def assign(self, partitions: Iterable[int] = PARTITIONS) -> None:
        """Assigns the partitions, and waits until all of them are flushing."""
        await self.owned.assigned(partitions, self)
        for flush in self.flushes:
            await flush.started.wait()

    async def numbers(self) -> list[int]:
        return [status.partition for status in await self.owned.statuses()]

    def end_flushes(self) -> None:
        for flush in self.flushes:
            flush.may_end.set()

    def pause(self, partition: int) -> None:
        pass

    resume = pause


async def under_way(work: "asyncio.Task[None]") -> None:
    """The task has started, and waits."""
    for _ in range(10):
        await asyncio.sleep(0)
    assert not work.done()


async def test_a_stop_during_a_revocation() -> None:
    """Both wait for the same flushes, and both return."""
    group = FakeGroup()
    await group.assign()
    revoking = asyncio.create_task(group.owned.revoked(PARTITIONS))
    await under_way(revoking)
    finishing = asyncio.create_task(group.owned.finish(DEADLINE))
    await under_way(finishing)
    group.end_flushes()
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(revoking, finishing)
    assert await group.numbers() == []


async def test_an_assignment_during_a_revocation() -> None:
    """The partitions of the newest assignment are processed, and not released."""
    group = FakeGroup()
    await group.assign()
    revoking = asyncio.create_task(group.owned.revoked(PARTITIONS))
    await under_way(revoking)
    assigning = asyncio.create_task(group.owned.assigned((1, 2), group))
    await under_way(assigning)
    group.end_flushes()
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(revoking, assigning)
    assert await group.numbers() == [1, 2]
    assert [flush.number for flush in group.flushes[len(PARTITIONS) :]] == [1, 2]
    group.end_flushes()
    await group.owned.finish(DEADLINE)
    assert await group.numbers() == []


async def test_a_cancelled_revocation() -> None:
    """The next call releases the remaining partitions."""
    group = FakeGroup()
    await group.assign()
    revoking = asyncio.create_task(group.owned.revoked(PARTITIONS))
    await under_way(revoking)
    revoking.cancel()
    await asyncio.wait([revoking])
    assert revoking.cancelled()
    group.end_flushes()
    await group.owned.finish(DEADLINE)
    assert await group.numbers() == []


async def test_a_flush_that_does_not_end_is_cancelled() -> None:
    """A revocation waits for it a bounded time."""
    group = FakeGroup(revoke_seconds=SOON)
    await group.assign()
    async with asyncio.timeout(DEADLINE):
        await group.owned.revoked(PARTITIONS)
    assert await group.numbers() == []
