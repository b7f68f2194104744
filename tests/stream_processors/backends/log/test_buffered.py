"""The buffered log fulfils the log's contract, whatever its stream leaves out, repeats or delivers late."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Alarm, IdentityChanged, Revoked
from schemas.frame import Frame, NewFrame
from stream_processors.backends.log.buffered import CATCH_UP_BYTES, BufferedLog
from stream_processors.backends.log.frame_buffer import DeliveredFrame
from stream_processors.backends.log.memory import MemoryFrameLog
from stream_processors.backends.log.policy import LogPolicy
from tests.contracts.frame_log import EVERYTHING, PARTITIONS, AnyHeldLog, FrameLogContract, OpenLog, numbered


class PausableStream:
    """A stream that records which partitions are paused."""

    def __init__(self) -> None:
        self.paused: set[int] = set()

    def pause(self, partition: int) -> None:
        self.paused.add(partition)

    def resume(self, partition: int) -> None:
        self.paused.discard(partition)


class Feeding:
    """A log whose readers go through the buffer, to which each appended frame is delivered."""

    def __init__(self, policy: LogPolicy, room: int = EVERYTHING) -> None:
        self.log = MemoryFrameLog(PARTITIONS, policy)
        self.stream = PausableStream()
        self.frames = BufferedLog(self.log, room)
        self.acknowledged: list[int] = []
        self._fed = [0] * PARTITIONS
        for partition in range(PARTITIONS):
            self.frames.assign(partition, self.stream)

    def deliver(self, frame: Frame) -> None:
        self.frames.push(DeliveredFrame(frame=frame, acknowledge=lambda: self.acknowledged.append(frame.offset)))

    async def feed(self) -> None:
        """Deliver the new frames of the log to the buffer."""
        for partition in range(PARTITIONS):
            for frame in await self.log.read(partition, self._fed[partition], max_bytes=EVERYTHING):
                if frame.offset >= self._fed[partition]:
                    self.deliver(frame)
                    self._fed[partition] = frame.offset + 1


class FedLog(Feeding):
    """Log and buffer behind the interface of one log."""

    @property
    def held_bytes(self) -> int:
        assert self.frames.held_bytes <= self.log.held_bytes
        return self.log.held_bytes

    async def append(self, frames: Sequence[NewFrame]) -> None:
        await self.log.append(frames)
        await self.feed()

    async def first_offset(self, partition: int) -> int:
        return await self.frames.first_offset(partition)

    async def read(self, partition: int, start: int, *, max_bytes: int, last: int | None = None) -> Sequence[Frame]:
        return await self.frames.read(partition, start, max_bytes=max_bytes, last=last)

    async def acknowledge(self, partition: int, last: int) -> None:
        await self.frames.acknowledge(partition, last)
        await self.log.acknowledge(partition, last)

    async def wait(self, partition: int, start: int, timeout: float) -> None:  # noqa: ASYNC109 (the port's word)
        await self.frames.wait(partition, start, timeout)

    def end_offset(self, partition: int) -> int:
        return self.frames.end_offset(partition)

    async def oldest_arrival(self, partition: int, start: int) -> int | None:
        return await self.frames.oldest_arrival(partition, start)


class TestBufferedFrames(FrameLogContract):
    """The stream delivers every frame."""

    @pytest.fixture
    def open_log(self) -> OpenLog:
        @asynccontextmanager
        async def opened(policy: LogPolicy) -> AsyncIterator[AnyHeldLog]:
            yield FedLog(policy)

        return opened


class TestUnfed(FrameLogContract):
    """The stream delivers nothing: frames known to be in the log are read from there."""

    @pytest.fixture
    def open_log(self) -> OpenLog:
        class Unfed(FedLog):
            async def feed(self) -> None:
                for partition in range(PARTITIONS):
                    self.frames._held[partition].record_end(self.log.end_offset(partition))

        @asynccontextmanager
        async def opened(policy: LogPolicy) -> AsyncIterator[AnyHeldLog]:
            yield Unfed(policy)

        return opened


FRAMES = 12

DELIVERIES = st.lists(st.integers(0, FRAMES - 1), max_size=3 * FRAMES)
"""Offsets in the order in which a faulty stream delivers them: left out, repeated, restarted, late."""


@given(delivered=DELIVERIES, steps=st.lists(st.integers(1, 40), min_size=1))
def test_no_frame_is_missed_or_given_twice(delivered: list[int], steps: list[int]) -> None:
    """However the stream behaves, a reader that counts what it reads gets every frame of the log once, in order."""

    async def check() -> None:
        feeding = Feeding(LogPolicy())
        await feeding.log.append(numbered(FRAMES))
        frames = list(await feeding.log.read(0, 0, max_bytes=EVERYTHING))
        deliveries = iter(delivered)
        read: list[int] = []
        sizes = itertools.cycle(steps)
        while len(read) < FRAMES:
            for offset in itertools.islice(deliveries, next(sizes) % 5):
                feeding.deliver(frames[offset])
            frames_read = await feeding.frames.read(0, len(read), max_bytes=next(sizes))
            assert frames_read
            read += [frame.offset for frame in frames_read]
            await feeding.frames.acknowledge(0, read[-1])
        for offset in deliveries:
            feeding.deliver(frames[offset])
        assert read == list(range(FRAMES))
        assert feeding.frames.held_bytes == 0
        # The latest delivery of each is acknowledged, so the group's committed offset can always advance.
        assert set(feeding.acknowledged) == set(delivered)

    asyncio.run(check())


@given(delivered=DELIVERIES, counted=st.integers(-1, FRAMES - 1))
def test_nothing_is_acknowledged_before_it_is_counted(delivered: list[int], counted: int) -> None:
    """Whatever was delivered, only counted frames are acknowledged."""

    async def check() -> None:
        feeding = Feeding(LogPolicy())
        await feeding.log.append(numbered(FRAMES))
        frames = await feeding.log.read(0, 0, max_bytes=EVERYTHING)
        for place, offset in enumerate(delivered):
            feeding.deliver(frames[offset])
            if place == len(delivered) // 2:
                await feeding.frames.acknowledge(0, counted)
        await feeding.frames.acknowledge(0, counted)
        assert set(feeding.acknowledged) == {offset for offset in delivered if offset <= counted}

    asyncio.run(check())


@pytest.mark.anyio
class TestOwnership:
    """A partition's buffer lives from its assignment to its revocation."""

    async def test_a_full_buffer_pauses_the_stream_until_half_of_it_is_counted(self) -> None:
        """Each partition is paused on its own; waiting ends, because a paused stream delivers nothing."""
        feeding = Feeding(LogPolicy(), room=40)
        await feeding.log.append([NewFrame(partition=0, arrival=1, payload=bytes(10)) for _ in range(6)])
        for frame in await feeding.log.read(0, 0, max_bytes=EVERYTHING):
            assert feeding.stream.paused == (set() if frame.offset < 4 else {0})
            feeding.deliver(frame)
        await asyncio.wait_for(feeding.frames.wait(0, 1000, 60.0), 5.0)
        await feeding.frames.acknowledge(0, 2)
        assert feeding.stream.paused == {0}
        await feeding.frames.acknowledge(0, 3)
        assert feeding.stream.paused == set()
        assert feeding.frames.held_bytes == 20

    async def test_one_large_frame_may_exceed_the_limit(self) -> None:
        """Otherwise it could never be counted."""
        feeding = Feeding(LogPolicy(), room=40)
        await feeding.log.append([NewFrame(partition=0, arrival=1, payload=bytes(100))])
        await feeding.feed()
        assert feeding.stream.paused == {0}
        assert len(await feeding.frames.read(0, 0, max_bytes=0)) == 1
        await feeding.frames.acknowledge(0, 0)
        assert feeding.stream.paused == set()

    async def test_a_frame_counted_before_is_dropped_and_acknowledged(self) -> None:
        """After a take-over the stream starts at the committed offset, which lags behind what is counted."""
        feeding = Feeding(LogPolicy())
        await feeding.log.append(numbered(6))
        frames = await feeding.log.read(0, 0, max_bytes=EVERYTHING)
        for frame in frames[1:4]:
            feeding.deliver(frame)
        assert [frame.offset for frame in await feeding.frames.read(0, 3, max_bytes=0)] == [3]
        assert feeding.acknowledged == [1, 2]
        feeding.deliver(frames[2])
        assert feeding.acknowledged == [1, 2, 2]
        assert feeding.frames.held_bytes == 1

    async def test_a_revoked_partition_raises_and_forgets(self) -> None:
        """Waiting ends at once, reading raises, nothing is acknowledged, and a late frame is ignored."""
        feeding = Feeding(LogPolicy())
        await feeding.log.append(numbered(3))
        await feeding.feed()
        waiting = asyncio.create_task(feeding.frames.wait(0, 1000, 60.0))
        await asyncio.sleep(0)
        feeding.frames.revoke(0)
        with pytest.raises(Revoked):
            await asyncio.wait_for(waiting, 5.0)
        with pytest.raises(Revoked):
            await feeding.frames.read(0, 0, max_bytes=0)
        with pytest.raises(Revoked):
            await feeding.frames.first_offset(0)
        await feeding.frames.acknowledge(0, 2)
        feeding.deliver(Frame(partition=0, offset=0, arrival=0, payload=b"late"))
        assert feeding.acknowledged == []
        assert feeding.frames.held_bytes == 0

    async def test_a_read_in_flight_raises_after_a_revocation(self) -> None:
        """Frames that the log returns after the partition was revoked are not counted."""

        class Slow(MemoryFrameLog):
            def __init__(self) -> None:
                super().__init__(PARTITIONS)
                self.started, self.released = asyncio.Event(), asyncio.Event()

            async def read(
                self, partition: int, start: int, *, max_bytes: int, last: int | None = None
            ) -> Sequence[Frame]:
                self.started.set()
                await self.released.wait()
                return await super().read(partition, start, max_bytes=max_bytes, last=last)

        log = Slow()
        await log.append(numbered(3))
        frames = BufferedLog(log)
        frames.assign(0, PausableStream())
        reading = asyncio.create_task(frames.read(0, 0, max_bytes=0, last=2))
        await log.started.wait()
        frames.assign(0, PausableStream())
        log.released.set()
        with pytest.raises(Revoked):
            await reading

    async def test_little_is_read_ahead_of_the_stream(self) -> None:
        """A stream that is behind catches up with what was read from the log: a backlog is not read twice."""
        feeding = Feeding(LogPolicy())
        half = CATCH_UP_BYTES // 2
        await feeding.log.append([NewFrame(partition=0, arrival=1, payload=bytes(half)) for _ in range(5)])
        frames = await feeding.frames.read(0, 0, max_bytes=EVERYTHING)
        assert [frame.offset for frame in frames] == [0, 1, 2]
        waiting = asyncio.create_task(feeding.frames.wait(0, 3, 60.0))
        await asyncio.sleep(0)
        assert not waiting.done()
        await feeding.feed()
        await asyncio.wait_for(waiting, 5.0)
        assert len(await feeding.frames.read(0, 3, max_bytes=EVERYTHING)) == 2

    async def test_frames_the_stream_left_out_are_read_at_once(self) -> None:
        """A restored store may be a day behind the group's committed offset."""
        feeding = Feeding(LogPolicy())
        payload = bytes(CATCH_UP_BYTES // 2)
        await feeding.log.append([NewFrame(partition=0, arrival=1, payload=payload) for _ in range(9)])
        feeding.deliver((await feeding.log.read(0, 8, max_bytes=0))[0])
        frames = await feeding.frames.read(0, 0, max_bytes=EVERYTHING)
        assert [frame.offset for frame in frames] == list(range(9))

    async def test_a_truncated_log_is_visible_to_the_reader(self) -> None:
        """Where retention deleted uncounted frames, the first frame read is a later one."""
        feeding = Feeding(LogPolicy())
        await feeding.log.append(numbered(6))
        await feeding.log.acknowledge(0, 3)
        await feeding.feed()
        assert [frame.offset for frame in await feeding.frames.read(0, 2, max_bytes=EVERYTHING)] == [4, 5]
        assert await feeding.frames.first_offset(0) == 4

    async def test_frames_of_another_log_are_an_alarm(self) -> None:
        """Frames were counted that the log never held."""
        feeding = Feeding(LogPolicy())
        with pytest.raises(Alarm, match="frame 7"):
            await feeding.frames.acknowledge(0, 7)


@pytest.mark.anyio
async def test_a_record_that_is_no_frame_is_acknowledged_with_the_frames_behind_it() -> None:
    """The committed offset passes it, and never precedes what is counted; one that was counted past goes at once."""
    feeding = Feeding(LogPolicy())
    await feeding.log.append(numbered(4))
    held = await feeding.log.read(0, 0, max_bytes=EVERYTHING)
    feeding.deliver(held[0])
    feeding.frames.push_gap(0, 1, lambda: feeding.acknowledged.append(1))
    feeding.deliver(held[2])
    await feeding.frames.acknowledge(0, 0)
    assert feeding.acknowledged == [0]
    assert [frame.offset for frame in await feeding.frames.read(0, 2, max_bytes=EVERYTHING)] == [2]
    await feeding.frames.acknowledge(0, 2)
    assert sorted(feeding.acknowledged) == [0, 1, 2]
    feeding.frames.push_gap(0, 1, lambda: feeding.acknowledged.append(-1))
    assert feeding.acknowledged[-1] == -1
    feeding.frames.push_gap(0, 9, lambda: feeding.acknowledged.append(-9))
    feeding.frames.revoke(0)
    assert -9 not in feeding.acknowledged


@pytest.mark.anyio
async def test_buffered_frames_of_another_log_are_not_read() -> None:
    """The stream may have delivered frames of a topic that was deleted and created again."""
    fault: list[Alarm] = []

    async def verify() -> None:
        for error in fault:
            raise error

    log = MemoryFrameLog(1)
    frames = BufferedLog(log, verify=verify)
    frames.assign(0, PausableStream())
    await log.append(numbered(1))
    (frame,) = await log.read(0, 0, max_bytes=EVERYTHING)
    frames.push(DeliveredFrame(frame=frame, acknowledge=lambda: None))
    assert list(await frames.read(0, 0, max_bytes=EVERYTHING)) == [frame]
    fault.append(IdentityChanged("made again"))
    with pytest.raises(IdentityChanged):
        await frames.read(0, 0, max_bytes=EVERYTHING)
