"""The buffered log keeps the log's contract, whatever the stream that feeds it leaves out, repeats or is late with."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Alarm, Revoked
from schemas.frame import Frame, NewFrame
from stream_processors.backends.log.buffered import CATCH_UP_BYTES, BufferedLog
from stream_processors.backends.log.frame_buffer import DeliveredFrame
from stream_processors.backends.log.memory import MemoryFrameLog
from stream_processors.backends.log.policy import LogPolicy
from tests.contracts.frame_log import EVERYTHING, PARTITIONS, AnyHeldLog, FrameLogContract, OpenLog, numbered


class Taps:
    """The stream, as far as it is told to pause."""

    def __init__(self) -> None:
        self.paused: set[int] = set()

    def pause(self, partition: int) -> None:
        self.paused.add(partition)

    def resume(self, partition: int) -> None:
        self.paused.discard(partition)


class Feeding:
    """A log whose readers go through the buffer; each frame appended is handed over, and let go of when counted."""

    def __init__(self, policy: LogPolicy, room: int = EVERYTHING) -> None:
        self.log = MemoryFrameLog(PARTITIONS, policy)
        self.taps = Taps()
        self.frames = BufferedLog(self.log, room)
        self.acknowledged: list[int] = []
        self._fed = [0] * PARTITIONS
        for partition in range(PARTITIONS):
            self.frames.assign(partition, self.taps)

    def hand_over(self, frame: Frame) -> None:
        self.frames.push(DeliveredFrame(frame=frame, acknowledge=lambda: self.acknowledged.append(frame.offset)))

    async def feed(self) -> None:
        """What is new in the log, to the buffer."""
        for partition in range(PARTITIONS):
            for frame in await self.log.read(partition, self._fed[partition], max_bytes=EVERYTHING):
                if frame.offset >= self._fed[partition]:
                    self.hand_over(frame)
                    self._fed[partition] = frame.offset + 1


class FedLog(Feeding):
    """The whole of it as one log."""

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
    """Fed without a fault."""

    @pytest.fixture
    def open_log(self) -> OpenLog:
        @asynccontextmanager
        async def opened(policy: LogPolicy) -> AsyncIterator[AnyHeldLog]:
            yield FedLog(policy)

        return opened


class TestUnfed(FrameLogContract):
    """By a stream that brings nothing at all: what is known to be in the log is read from there."""

    @pytest.fixture
    def open_log(self) -> OpenLog:
        class Unfed(FedLog):
            async def feed(self) -> None:
                for partition in range(PARTITIONS):
                    self.frames._held[partition].note_end(self.log.end_offset(partition))

        @asynccontextmanager
        async def opened(policy: LogPolicy) -> AsyncIterator[AnyHeldLog]:
            yield Unfed(policy)

        return opened


FRAMES = 12

HANDED = st.lists(st.integers(0, FRAMES - 1), max_size=3 * FRAMES)
"""Offsets in the order in which a faulty stream brings them: left out, repeated, begun again, late."""


@given(delivered=HANDED, steps=st.lists(st.integers(1, 40), min_size=1))
def test_no_frame_is_missed_or_given_twice(delivered: list[int], steps: list[int]) -> None:
    """However the stream behaves, a reader that counts what it reads meets every frame of the log once, in order."""

    async def check() -> None:
        feeding = Feeding(LogPolicy())
        await feeding.log.append(numbered(FRAMES))
        frames = list(await feeding.log.read(0, 0, max_bytes=EVERYTHING))
        brought = iter(delivered)
        met: list[int] = []
        sizes = itertools.cycle(steps)
        while len(met) < FRAMES:
            for offset in itertools.islice(brought, next(sizes) % 5):
                feeding.hand_over(frames[offset])
            given = await feeding.frames.read(0, len(met), max_bytes=next(sizes))
            assert given
            met += [frame.offset for frame in given]
            await feeding.frames.acknowledge(0, met[-1])
        for offset in brought:
            feeding.hand_over(frames[offset])
        assert met == list(range(FRAMES))
        assert feeding.frames.held_bytes == 0
        # The newest of each is acknowledged, so the group's committed offset can always move on.
        assert set(feeding.acknowledged) == set(delivered)

    asyncio.run(check())


@given(delivered=HANDED, counted=st.integers(-1, FRAMES - 1))
def test_nothing_is_acknowledged_before_it_is_counted(delivered: list[int], counted: int) -> None:
    """Whatever was handed over, the stream is told of the counted frames only."""

    async def check() -> None:
        feeding = Feeding(LogPolicy())
        await feeding.log.append(numbered(FRAMES))
        frames = await feeding.log.read(0, 0, max_bytes=EVERYTHING)
        for place, offset in enumerate(delivered):
            feeding.hand_over(frames[offset])
            if place == len(delivered) // 2:
                await feeding.frames.acknowledge(0, counted)
        await feeding.frames.acknowledge(0, counted)
        assert set(feeding.acknowledged) == {offset for offset in delivered if offset <= counted}

    asyncio.run(check())


@pytest.mark.anyio
class TestOwnership:
    """What is held of a partition lives and dies with its assignment."""

    async def test_a_full_buffer_pauses_the_stream_until_half_of_it_is_counted(self) -> None:
        """Each partition on its own; waiting ends, for no more would come."""
        feeding = Feeding(LogPolicy(), room=40)
        await feeding.log.append([NewFrame(partition=0, arrival=1, payload=bytes(10)) for _ in range(6)])
        for frame in await feeding.log.read(0, 0, max_bytes=EVERYTHING):
            assert feeding.taps.paused == (set() if frame.offset < 4 else {0})
            feeding.hand_over(frame)
        await asyncio.wait_for(feeding.frames.wait(0, 1000, 60.0), 5.0)
        await feeding.frames.acknowledge(0, 2)
        assert feeding.taps.paused == {0}
        await feeding.frames.acknowledge(0, 3)
        assert feeding.taps.paused == set()
        assert feeding.frames.held_bytes == 20

    async def test_one_large_frame_may_pass_the_limit(self) -> None:
        """Otherwise it could never be counted."""
        feeding = Feeding(LogPolicy(), room=40)
        await feeding.log.append([NewFrame(partition=0, arrival=1, payload=bytes(100))])
        await feeding.feed()
        assert feeding.taps.paused == {0}
        assert len(await feeding.frames.read(0, 0, max_bytes=0)) == 1
        await feeding.frames.acknowledge(0, 0)
        assert feeding.taps.paused == set()

    async def test_what_was_counted_before_is_dropped_and_acknowledged(self) -> None:
        """After a take-over the stream begins at the committed offset, which lags behind what is counted."""
        feeding = Feeding(LogPolicy())
        await feeding.log.append(numbered(6))
        frames = await feeding.log.read(0, 0, max_bytes=EVERYTHING)
        for frame in frames[1:4]:
            feeding.hand_over(frame)
        assert [frame.offset for frame in await feeding.frames.read(0, 3, max_bytes=0)] == [3]
        assert feeding.acknowledged == [1, 2]
        feeding.hand_over(frames[2])
        assert feeding.acknowledged == [1, 2, 2]
        assert feeding.frames.held_bytes == 1

    async def test_a_revoked_partition_raises_and_forgets(self) -> None:
        """Waiting ends at once, reading raises, nothing is acknowledged, and a late frame is nobody's."""
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
        feeding.hand_over(Frame(partition=0, offset=0, arrival=0, payload=b"late"))
        assert feeding.acknowledged == []
        assert feeding.frames.held_bytes == 0

    async def test_a_reading_that_is_under_way_is_given_up(self) -> None:
        """What comes back from the log after the partition was revoked is not counted any more."""

        class Slow(MemoryFrameLog):
            def __init__(self) -> None:
                super().__init__(PARTITIONS)
                self.asked, self.answer = asyncio.Event(), asyncio.Event()

            async def read(
                self, partition: int, start: int, *, max_bytes: int, last: int | None = None
            ) -> Sequence[Frame]:
                self.asked.set()
                await self.answer.wait()
                return await super().read(partition, start, max_bytes=max_bytes, last=last)

        log = Slow()
        await log.append(numbered(3))
        frames = BufferedLog(log)
        frames.assign(0, Taps())
        reading = asyncio.create_task(frames.read(0, 0, max_bytes=0, last=2))
        await log.asked.wait()
        frames.assign(0, Taps())
        log.answer.set()
        with pytest.raises(Revoked):
            await reading

    async def test_little_is_read_ahead_of_the_stream(self) -> None:
        """Where it is behind it goes on where the log was read to: all of a backlog is not read twice."""
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

    async def test_what_the_stream_left_out_is_read_at_once(self) -> None:
        """A store restored from a copy is behind what the group was told is counted, maybe by a day."""
        feeding = Feeding(LogPolicy())
        payload = bytes(CATCH_UP_BYTES // 2)
        await feeding.log.append([NewFrame(partition=0, arrival=1, payload=payload) for _ in range(9)])
        feeding.hand_over((await feeding.log.read(0, 8, max_bytes=0))[0])
        frames = await feeding.frames.read(0, 0, max_bytes=EVERYTHING)
        assert [frame.offset for frame in frames] == list(range(9))

    async def test_a_log_cut_off_is_not_papered_over(self) -> None:
        """Where retention deleted what was never counted, the reader sees that the first frame is a later one."""
        feeding = Feeding(LogPolicy())
        await feeding.log.append(numbered(6))
        await feeding.log.acknowledge(0, 3)
        await feeding.feed()
        assert [frame.offset for frame in await feeding.frames.read(0, 2, max_bytes=EVERYTHING)] == [4, 5]
        assert await feeding.frames.first_offset(0) == 4

    async def test_frames_of_another_log_are_an_alarm(self) -> None:
        """Counted frames that the log never had."""
        feeding = Feeding(LogPolicy())
        with pytest.raises(Alarm, match="frame 7"):
            await feeding.frames.acknowledge(0, 7)
