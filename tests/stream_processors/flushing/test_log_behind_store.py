"""A log that is older than its store: restored alone, it would silently lose events."""

import pytest

from schemas.errors import LogGap
from stream_processors.backends.log.memory import MemoryFrameLog
from stream_processors.flushing.partition import FlushPorts, Partition
from stream_processors.flushing.policy import FlushPolicy
from tests.factories import NOW, make_claim, make_event
from tests.stream_processors.in_memory_pipeline import PARTITIONS, InMemoryPipeline, no_pause

pytestmark = pytest.mark.anyio


async def test_a_claim_beyond_the_end_of_the_log_is_an_alarm() -> None:
    """A claimed flush is redone with all of its frames or not at all."""
    pipeline = InMemoryPipeline()
    await pipeline.post([make_event(f"key_{number}") for number in range(20)], NOW)
    await pipeline.store.claim(make_claim(number=0, first=0, last=3, partition=0, version=0))
    with pytest.raises(LogGap, match="older than the usage store"):
        await pipeline.partition(0).step()


async def test_an_empty_log_is_an_alarm_if_a_flush_must_be_redone() -> None:
    """The frames of a claim cannot be reconstructed."""
    pipeline = InMemoryPipeline()
    await pipeline.store.claim(make_claim(number=0, first=0, last=0, partition=0, version=0))
    store = pipeline.store
    ports = FlushPorts(
        log=MemoryFrameLog(PARTITIONS),
        claims=store,
        tables=store,
        seen=store,
        meters=pipeline.meters,
        pause=no_pause,
    )
    with pytest.raises(LogGap):
        await Partition(0, ports, FlushPolicy(filter_keys=1000)).step()
