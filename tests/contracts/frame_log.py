"""The contract of every log, durable or not, and of logs that delete counted frames."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Generic, Protocol, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.errors import Alarm, Overloaded
from schemas.frame import Frame, NewFrame
from stream_processors.backends.log.policy import LogPolicy
from stream_processors.ports import FrameLog, TailedLog

PARTITIONS = 3
DEADLINE = 10.0
EVERYTHING = 2**30


class AnyLog(TailedLog, Protocol):
    """A log for its writer and its readers."""

    async def append(self, frames: Sequence[NewFrame]) -> None: ...


class AnyHeldLog(AnyLog, Protocol):
    """A log that bounds its size and deletes counted frames."""

    @property
    def held_bytes(self) -> int: ...


L = TypeVar("L", bound=AnyLog)

Open = Callable[[LogPolicy], AbstractAsyncContextManager[L]]
"""A new, empty log of three partitions with this policy."""

OpenLog = Open[AnyHeldLog]


def new_frame(partition: int = 0, payload: bytes = b"payload", arrival: int = 7) -> NewFrame:
    return NewFrame(partition=partition, arrival=arrival, payload=payload)


def numbered(count: int, partition: int = 0) -> list[NewFrame]:
    return [new_frame(partition, b"%d" % number, arrival=number) for number in range(count)]


async def everything(log: FrameLog, partition: int = 0) -> Sequence[Frame]:
    return await log.read(partition, 0, max_bytes=EVERYTHING)


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Waits for frames to be deleted, until a deadline."""
    deadline = time.monotonic() + DEADLINE
    while not await condition():
        assert time.monotonic() < deadline, "the condition did not hold in time"
        await asyncio.sleep(0.002)


async def trimmed_to(log: AnyHeldLog, offset: int, partition: int = 0) -> None:
    async def there() -> bool:
        return await log.first_offset(partition) == offset

    await eventually(there)


OPERATIONS = st.lists(
    st.one_of(
        st.lists(st.tuples(st.integers(0, PARTITIONS - 1), st.binary(max_size=40)), max_size=6),
        st.tuples(st.just("acknowledge"), st.integers(0, PARTITIONS - 1), st.integers(0, 8)),
    ),
    max_size=12,
)


@pytest.mark.anyio
class AnyLogContract(Generic[L]):
    """Subclasses give `open_log`."""

    async def first_held(self, log: L, partition: int, counted: int) -> int:
        """The first offset of a partition in the end, when that many of its frames are counted."""
        return 0

    async def check_held(self, log: L, held: int) -> None:
        """Checks the bytes of the frames left."""

    async def test_frames_are_read_in_order(self, open_log: Open[L]) -> None:
        """Each partition counts its offsets from 0, and payloads and arrivals are read back unchanged."""
        async with open_log(LogPolicy()) as log:
            await log.append([new_frame(0, b"a", 1), new_frame(2, b"b", 2), new_frame(0, b"", 3)])
            await log.append([new_frame(0, b"c", 4)])
            assert [(f.offset, f.arrival, f.payload) for f in await everything(log)] == [
                (0, 1, b"a"),
                (1, 3, b""),
                (2, 4, b"c"),
            ]
            assert await everything(log, 1) == []
            assert [f.partition for f in await everything(log, 2)] == [2]
            assert [log.end_offset(partition) for partition in range(PARTITIONS)] == [3, 0, 1]

    async def test_a_reading_is_bounded_beyond_its_first_frame(self, open_log: Open[L]) -> None:
        """The first frame is always read; later ones stay within the limit; a claimed range is read whole."""
        async with open_log(LogPolicy()) as log:
            await log.append([new_frame(0, bytes(size)) for size in (100, 10, 10, 10)])

            async def offsets(start: int, max_bytes: int, last: int | None = None) -> list[int]:
                return [f.offset for f in await log.read(0, start, max_bytes=max_bytes, last=last)]

            assert await offsets(0, 0) == [0]
            assert await offsets(0, 20) == [0, 1, 2]
            assert await offsets(1, 19) == [1, 2]
            assert await offsets(0, 0, last=2) == [0, 1, 2]
            assert await offsets(2, 0, last=2) == [2]
            assert await offsets(4, 100) == []

    async def test_an_acknowledgement_past_the_end_is_an_alarm(self, open_log: Open[L]) -> None:
        """An acknowledgement of no frames (-1) has no effect."""
        async with open_log(LogPolicy()) as log:
            await log.append(numbered(2))
            await log.acknowledge(0, -1)
            with pytest.raises(Alarm, match="frame 2"):
                await log.acknowledge(0, 2)
            assert len(await everything(log)) == 2

    async def test_waiting_ends_with_a_frame_or_the_timeout(self, open_log: Open[L]) -> None:
        """A waiter returns at once if a frame exists, wakes for a new one, and returns at its timeout."""
        async with open_log(LogPolicy()) as log:
            began = time.monotonic()
            await log.wait(0, 0, 0.05)
            assert time.monotonic() - began >= 0.04
            waiting = asyncio.create_task(log.wait(0, 1, DEADLINE))
            elsewhere = asyncio.create_task(log.wait(1, 0, DEADLINE))
            await log.append(numbered(1))
            await log.wait(0, 0, DEADLINE)
            assert not waiting.done()
            await log.append(numbered(1))
            await waiting
            assert not elsewhere.done()
            elsewhere.cancel()
            assert time.monotonic() - began < DEADLINE / 2

    async def test_any_thread_may_write_and_wait(self, open_log: Open[L]) -> None:
        """Writers and waiters on event loops of other threads lose nothing and wake each other."""
        async with open_log(LogPolicy()) as log:
            errors: list[BaseException] = []

            async def write(writer: int) -> None:
                for number in range(20):
                    await log.append([new_frame(p, b"%d/%d" % (writer, number)) for p in range(PARTITIONS)])

            async def await_all() -> None:
                await log.wait(0, 79, DEADLINE)
                assert log.end_offset(0) == 80

            def run(work: Callable[[], Awaitable[None]]) -> None:
                try:
                    asyncio.run(_awaited(work))
                except BaseException as error:
                    errors.append(error)

            works: list[Callable[[], Awaitable[None]]] = [await_all]
            works += [lambda writer=writer: write(writer) for writer in range(4)]  # type: ignore[misc] # a default binds it
            threads = [threading.Thread(target=run, args=[work]) for work in works]
            for thread in threads:
                thread.start()
            for thread in threads:
                await asyncio.to_thread(thread.join)
            assert errors == []
            for partition in range(PARTITIONS):
                frames = await everything(log, partition)
                assert [f.offset for f in frames] == list(range(80))
                for writer in range(4):
                    own = [f.payload for f in frames if f.payload.startswith(b"%d/" % writer)]
                    assert own == [b"%d/%d" % (writer, number) for number in range(20)]

    async def test_the_oldest_waiting_arrival_is_known(self, open_log: Open[L]) -> None:
        """The arrival of the first frame at or after an offset; None if there is none."""
        async with open_log(LogPolicy()) as log:
            assert await log.oldest_arrival(0, 0) is None
            await log.append([new_frame(0, arrival=11), new_frame(0, arrival=12), new_frame(1, arrival=13)])
            assert await log.oldest_arrival(0, 0) == 11
            assert await log.oldest_arrival(0, 1) == 12
            assert await log.oldest_arrival(0, 2) is None

    # Each example opens a new log, and every adapter runs the same examples: both health checks do not apply.
    @settings(
        max_examples=25,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(operations=OPERATIONS)
    def test_it_behaves_like_a_list_per_partition(
        self, open_log: Open[L], operations: list[list[tuple[int, bytes]] | tuple[str, int, int]]
    ) -> None:
        """For any appends and acknowledgements, reading returns what a plain list would."""

        async def check() -> None:
            model: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
            counted = [0] * PARTITIONS
            async with open_log(LogPolicy(trim_frames=2)) as log:
                for operation in operations:
                    if isinstance(operation, list):
                        await log.append([new_frame(partition, payload) for partition, payload in operation])
                        for partition, payload in operation:
                            model[partition].append(payload)
                    else:
                        _, partition, share = operation
                        counted[partition] = max(counted[partition], len(model[partition]) * share // 8)
                        await log.acknowledge(partition, counted[partition] - 1)
                for partition in range(PARTITIONS):
                    first = await self.first_held(log, partition, counted[partition])
                    frames = await everything(log, partition)
                    assert [(f.offset, f.payload) for f in frames] == [*enumerate(model[partition][first:], first)]
                held = sum(len(p) for part, done in zip(model, counted, strict=True) for p in part[done:])
                await self.check_held(log, held)

        asyncio.run(check())


class FrameLogContract(AnyLogContract[AnyHeldLog]):
    """The contract of every log, and that of logs that bound their size and delete counted frames."""

    async def first_held(self, log: AnyHeldLog, partition: int, counted: int) -> int:
        await trimmed_to(log, counted, partition)
        return counted

    async def check_held(self, log: AnyHeldLog, held: int) -> None:
        """The size decreases a moment after frames are deleted."""

        async def there() -> bool:
            return log.held_bytes == held

        await eventually(there)

    async def test_counted_frames_are_deleted_and_offsets_never_reused(self, open_log: OpenLog) -> None:
        """Acknowledged frames are deleted in the end, and no offset is assigned twice, even if none is left."""
        async with open_log(LogPolicy(trim_frames=2)) as log:
            await log.append(numbered(7))
            assert await log.first_offset(0) == 0
            await log.acknowledge(0, 4)
            await trimmed_to(log, 5)
            await log.acknowledge(0, 2)
            await log.acknowledge(0, 6)
            await trimmed_to(log, 7)
            assert await everything(log) == []
            assert log.held_bytes == 0
            await log.append([new_frame()])
            assert [f.offset for f in await everything(log)] == [7]

    async def test_a_tail_can_be_retained(self, open_log: OpenLog) -> None:
        """With `retained_frames` the newest counted frames stay readable."""
        async with open_log(LogPolicy(retained_frames=3)) as log:
            await log.append(numbered(7))
            await log.acknowledge(0, 6)
            await trimmed_to(log, 4)
            assert [f.offset for f in await everything(log)] == [4, 5, 6]

    async def test_a_full_log_refuses_appends_until_frames_are_counted(self, open_log: OpenLog) -> None:
        """At the limit appends are refused with a time to retry after, and none of their frames is stored."""
        async with open_log(LogPolicy(held_bytes=100)) as log:
            await log.append([new_frame(0, bytes(60))])
            await log.append([new_frame(0, bytes(60))])
            with pytest.raises(Overloaded, match="120 bytes") as refusal:
                await log.append([new_frame(1, bytes(1))])
            assert refusal.value.retry_after > 0
            assert await everything(log, 1) == []
            await log.acknowledge(0, 0)
            await trimmed_to(log, 1)
            await log.append([new_frame(1, bytes(1))])
            assert log.held_bytes == 61


async def _awaited(work: Callable[[], Awaitable[None]]) -> None:
    await work()
