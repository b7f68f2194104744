"""The status of a cluster, calculated from the store and the log alone."""

import asyncio
from collections.abc import Mapping

import pytest

from schemas.errors import IdentityChanged, LogFailed, StoreFailed
from schemas.flush import UNCOUNTED, Claim, PartitionStatus
from schemas.frame import NewFrame
from schemas.timestamps import DAY, SECOND
from stream_processors.backends.log.memory import MemoryFrameLog
from stream_processors.backends.store.guarded import GuardedStore
from stream_processors.backends.store.memory import MemoryEngine
from tallyhouse.cluster.status import ClusterStatus

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000 * SECOND


class FakePartitionLog(MemoryFrameLog):
    """A log that knows its ends."""

    async def refresh_ends(self) -> None:
        """Does nothing."""


class FakeCluster:
    """A log and a store, and their status at a given time."""

    def __init__(self) -> None:
        self.log = FakePartitionLog(1)
        self.claims = GuardedStore(MemoryEngine())
        self.now = NOW
        self.seconds = 0.0
        self.foreign: dict[int, int] = {}
        self.status = ClusterStatus(self.claims, self.log, self, 1, lambda: self.now, lambda: self.seconds)

    async def counts(self) -> Mapping[int, int]:
        """The foreign records."""
        return self.foreign

    async def partition_status(self) -> PartitionStatus:
        (partition,) = await self.status.partitions()
        return partition

    async def append(self, frames: int) -> None:
        await self.log.append([NewFrame(partition=0, arrival=NOW, payload=b"x") for _ in range(frames)])

    async def count(self, number: int, first: int, last: int) -> None:
        await self.claims.claim(Claim(partition=0, number=number, first=first, last=last, version=0))
        await self.claims.finish(0, number, UNCOUNTED)


async def test_progress_and_lag_of_a_partition() -> None:
    """Before the first flush, after it, and while the second is claimed and not done."""
    cluster = FakeCluster()
    partition_status = await cluster.partition_status()
    assert (
        partition_status.flush,
        partition_status.next_offset,
        partition_status.end_offset,
        partition_status.lag_frames,
        partition_status.lag_seconds,
    ) == (None, 0, 0, 0, 0.0)
    await cluster.append(5)
    await cluster.count(0, 0, 2)
    cluster.now += 3 * SECOND
    partition_status = await cluster.partition_status()
    assert (
        partition_status.flush,
        partition_status.next_offset,
        partition_status.end_offset,
        partition_status.lag_frames,
        partition_status.lag_seconds,
    ) == (0, 3, 5, 2, 3.0)
    await cluster.claims.claim(Claim(partition=0, number=1, first=3, last=4, version=0))
    partition_status = await cluster.partition_status()
    assert (
        partition_status.flush,
        partition_status.next_offset,
        partition_status.lag_frames,
        partition_status.state,
    ) == (0, 3, 2, "counting")
    await cluster.claims.finish(0, 1, UNCOUNTED)
    partition_status = await cluster.partition_status()
    assert (
        partition_status.flush,
        partition_status.next_offset,
        partition_status.lag_frames,
        partition_status.lag_seconds,
    ) == (1, 5, 0, 0.0)


async def test_a_partition_with_a_long_lag_is_stuck() -> None:
    """Whether no worker runs or its flush fails."""
    cluster = FakeCluster()
    await cluster.append(1)
    cluster.now += 61 * SECOND
    assert (await cluster.partition_status()).state.startswith("stuck: its oldest frame has been waiting for 61 s")
    await cluster.count(0, 0, 0)
    assert (await cluster.partition_status()).state == "counting"


async def test_a_log_that_contradicts_the_store_stops_the_partition() -> None:
    """Frames deleted before they were counted, and a log that ends before the counted frames."""
    lost, older = FakeCluster(), FakeCluster()
    await lost.append(3)
    await lost.log.acknowledge(0, 1)
    assert (await lost.partition_status()).state.startswith("stopped: frames 0 to 1 were never counted")
    await older.count(0, 0, 6)
    assert (await older.partition_status()).state.startswith(
        "stopped: frames up to 6 are counted, but the log ends at -1"
    )


async def test_a_lag_does_not_rest_on_arrivals_alone() -> None:
    """Frames of a gateway whose clock was weeks ahead wait, and show as stuck by this machine's monotonic clock."""
    cluster = FakeCluster()
    cluster.now -= 21 * DAY
    await cluster.append(2)
    assert (await cluster.partition_status()).lag_seconds == 0
    cluster.seconds += 61
    status = await cluster.partition_status()
    assert (status.lag_frames, status.lag_seconds) == (2, 61)
    assert status.state.startswith("stuck: its oldest frame has been waiting for 61 s")
    await cluster.count(0, 0, 0)
    status = await cluster.partition_status()
    assert (status.lag_frames, status.lag_seconds, status.state) == (1, 0, "counting")
    await cluster.count(1, 1, 1)
    assert (await cluster.partition_status()).lag_seconds == 0


async def test_foreign_records_are_shown() -> None:
    cluster = FakeCluster()
    cluster.foreign = {0: 3}
    assert (await cluster.partition_status()).foreign_records == 3


class SilentLog(FakePartitionLog):
    """A log that fails, or answers only after `release`."""

    def __init__(self) -> None:
        super().__init__(1)
        self.fault: Exception | None = None
        self.release = asyncio.Event()

    async def first_offset(self, partition: int) -> int:
        if self.fault is not None:
            raise self.fault
        await self.release.wait()
        return 0


async def test_a_part_that_does_not_answer_is_named_and_the_rest_is_known() -> None:
    """The silence of the log never looks like no lag."""
    cluster = FakeCluster()
    cluster.log = silent = SilentLog()
    cluster.status = ClusterStatus(cluster.claims, silent, cluster, 1, lambda: NOW, lambda: 0.0)
    await cluster.append(1)
    await cluster.count(0, 0, 0)
    for _ in range(2):
        status = await cluster.partition_status()
        assert (status.state, status.flush) == ("unknown: the log (Kafka) does not answer", 0)
        assert (status.next_offset, status.lag_frames) == (1, 1)
    silent.release.set()
    await asyncio.sleep(0)
    silent.fault = LogFailed("no broker answers")
    assert (await cluster.partition_status()).state == "unknown: the log (Kafka) does not answer: no broker answers"
    silent.fault = IdentityChanged("the topic was deleted and created again")
    assert (await cluster.partition_status()).state == "stopped: the topic was deleted and created again"


async def test_a_silent_store_is_named() -> None:
    cluster = FakeCluster()
    await cluster.append(3)

    async def counts() -> Mapping[int, int]:
        raise StoreFailed("it refuses")

    cluster.counts = counts  # type: ignore[method-assign] # a store that fails
    status = await cluster.partition_status()
    assert (status.state, status.flush, status.lag_frames) == (
        "unknown: the usage store does not answer: it refuses",
        None,
        3,
    )
