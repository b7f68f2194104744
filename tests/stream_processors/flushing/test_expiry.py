"""Old seen keys expire, and none that a later frame could meet."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import LogGap
from schemas.flush import Table
from schemas.frame import NewFrame, encode
from schemas.timestamps import DAY, MINUTE, to_micros
from tests.factories import NOW, WINDOW, Event, make_batch, make_event, make_meter, make_replay
from tests.stream_processors.in_memory_pipeline import PARTITIONS, InMemoryPipeline, partition_of_event

pytestmark = pytest.mark.anyio

LONG = 100 * DAY
"""Longer than the window and a month."""


class ExpiryPipeline:
    """Flushes given partitions, and expires keys."""

    def __init__(self) -> None:
        self.pipeline = InMemoryPipeline()
        self.pipeline.meters.add(make_meter("tokens", "sum"))
        self._partitions = [self.pipeline.partition(number) for number in range(PARTITIONS)]
        self._names = iter(range(10**6))

    async def post(self, partition: int, arrival: int) -> Event:
        """Posts an event under a key of the partition."""
        tries = (make_event(f"key {name}", {"tokens": 1}, timestamp=arrival) for name in self._names)
        event = next(event for event in tries if partition_of_event(event) == partition)
        await self.pipeline.post([event], arrival)
        return event

    async def count(self, partition: int) -> None:
        while await self._partitions[partition].step():
            pass

    async def post_and_count(self, partition: int, arrival: int) -> None:
        await self.post(partition, arrival)
        await self.count(partition)

    async def expire(self) -> Sequence[int]:
        return await self.pipeline.expiry().step()

    def stored_arrivals(self, partition: int) -> list[int]:
        """The arrivals of the stored keys."""
        rows = self.pipeline.engine.rows(Table.SEEN).to_pylist()
        return sorted(row["arrival"] for row in rows if row["p"] == partition)

    def counted(self, partition: int) -> list[int]:
        """The arrivals of the stored events, which never expire."""
        rows = self.pipeline.engine.rows(Table.EVENTS).to_pylist()
        return sorted(int(to_micros(row["arrival"])) for row in rows if row["p"] == partition)


async def test_keys_older_than_the_window_expire() -> None:
    """The month of the first frames is dropped once, when every partition is far beyond it."""
    expiring = ExpiryPipeline()
    for arrival in (NOW, NOW + LONG):
        for partition in range(PARTITIONS):
            await expiring.post_and_count(partition, arrival)
    assert await expiring.expire() == [202611]
    assert [expiring.stored_arrivals(partition) for partition in range(PARTITIONS)] == [[NOW + LONG]] * PARTITIONS
    assert [expiring.counted(partition) for partition in range(PARTITIONS)] == [[NOW, NOW + LONG]] * PARTITIONS
    assert await expiring.expire() == []


async def test_a_partition_that_lags_delays_expiry() -> None:
    """Its waiting frame may repeat a key that was young when the frame arrived, whatever the clock says now."""
    expiring = ExpiryPipeline()
    await expiring.post_and_count(0, NOW)
    await expiring.post_and_count(1, NOW)
    await expiring.post(1, NOW + 30 * DAY)
    await expiring.post_and_count(0, NOW + LONG)
    assert await expiring.expire() == []
    await expiring.count(1)
    await expiring.post_and_count(1, NOW + LONG)
    assert await expiring.expire() == [202611, 202612]


async def test_a_partition_without_frames_delays_nothing() -> None:
    """Its later frames can only meet keys of the same partition."""
    expiring = ExpiryPipeline()
    await expiring.post_and_count(0, NOW)
    await expiring.post_and_count(0, NOW + LONG)
    assert await expiring.expire() == [202611]


async def test_nothing_expires_before_the_first_flush() -> None:
    """Neither before the first frame."""
    expiring = ExpiryPipeline()
    assert await expiring.expire() == []
    await expiring.post(0, NOW)
    assert await expiring.expire() == []


async def test_replay_keys_are_preserved() -> None:
    """An audit knows of a replay only by this key, however old it is."""
    expiring = ExpiryPipeline()
    event = await expiring.post(0, NOW)
    replay = make_replay(event, "rej_0_0_0_0_tokens", "tokens")
    await expiring.pipeline.log.append([frame_of(replay, NOW + 1)])
    for arrival in (NOW, NOW + LONG):
        for partition in range(PARTITIONS):
            await expiring.post_and_count(partition, arrival)
    assert await expiring.expire() == [202611]
    expected = [NOW + LONG] * PARTITIONS
    expected.append(NOW + 1)
    assert sorted(expiring.stored_arrivals(0) + expiring.stored_arrivals(1)) == sorted(expected)
    assert await expiring.expire() == []


async def test_a_gap_in_the_log_stops_expiry() -> None:
    """Frames that may be restored are older than those in the log."""
    expiring = ExpiryPipeline()
    await expiring.post_and_count(0, NOW)
    await expiring.post(1, NOW)
    await expiring.pipeline.log.acknowledge(1, 0)
    await expiring.post_and_count(0, NOW + LONG)
    with pytest.raises(LogGap, match="frames 0 to 0 were never counted"):
        await expiring.expire()
    assert expiring.stored_arrivals(0) == [NOW, NOW + LONG]


def frame_of(event: Event, arrival: int) -> NewFrame:
    return NewFrame(partition=partition_of_event(event), arrival=arrival, payload=encode(make_batch([event])))


STEPS = st.lists(
    st.tuples(
        st.sampled_from([ExpiryPipeline.post, ExpiryPipeline.post_and_count]),
        st.integers(0, PARTITIONS - 1),
        st.sampled_from([0, MINUTE, DAY, 20 * DAY, WINDOW - 1, WINDOW, WINDOW + 1, 70 * DAY]),
    ),
    min_size=3,
    max_size=9,
)


@given(steps=STEPS)
def test_no_key_expires_that_a_frame_could_still_meet(steps: list[tuple[object, int, int]]) -> None:
    """Neither a waiting frame nor a future one, for any sequence of posts and flushes."""
    asyncio.run(_meets_all(steps))


async def _meets_all(steps: list[tuple[object, int, int]]) -> None:
    expiring, now = ExpiryPipeline(), NOW
    waiting: list[list[int]] = [[] for _ in range(PARTITIONS)]
    for act, partition, later in steps:
        now += later
        if act is ExpiryPipeline.post:
            await expiring.post(partition, now)
            waiting[partition].append(now)
        else:
            await expiring.post_and_count(partition, now)
            waiting[partition].clear()
        await expiring.expire()
        for number in range(PARTITIONS):
            next_arrival = min(waiting[number], default=now)
            still_met = [arrival for arrival in expiring.counted(number) if next_arrival - arrival <= WINDOW]
            assert set(still_met) <= set(expiring.stored_arrivals(number))


async def test_arrivals_from_the_future_expire_nothing_early() -> None:
    """A gateway whose clock was ahead has stamped frames of every partition: retries of right gateways still come."""
    expiring = ExpiryPipeline()
    for partition in range(PARTITIONS):
        await expiring.post_and_count(partition, NOW)
        await expiring.post_and_count(partition, NOW + LONG)
    expiring.pipeline.expiry_clock = NOW + DAY
    assert await expiring.expire() == []
    expiring.pipeline.expiry_clock = NOW + LONG
    assert await expiring.expire() != []
