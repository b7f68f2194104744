"""The log as a stream's consumer sees it: a bounded buffer of delivered frames, and the log itself for the rest."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from schemas.errors import Alarm, Revoked
from schemas.frame import Frame
from stream_processors.backends.log.frame_buffer import DeliveredFrame, FrameBuffer
from stream_processors.backends.log.policy import MEBIBYTE
from stream_processors.ports import TailedLog

BUFFER_BYTES = 8 * MEBIBYTE
"""Payload bytes held of one partition. What the stream is delivering at the moment it is paused comes on top."""

CATCH_UP_BYTES = MEBIBYTE
"""Payload bytes read from the log for a new flush while the stream is behind. The stream delivers the same frames a
little later. If one flush took more than the buffer holds, every later flush would read the log as well."""

_WAIT_SECONDS = 1.0
"""How long to wait for a frame that must exist: only a log older than the store lacks it."""


class Stream(Protocol):
    """Delivers the frames of a partition until it is paused."""

    def pause(self, partition: int) -> None:
        """Stops delivering until `resume`."""
        ...

    def resume(self, partition: int) -> None: ...


class BufferedLog:
    """`TailedLog` of the partitions one worker owns.

    What a flush reads is complete whatever the stream does: only an unbroken run of offsets is served from the buffer.
    A frame that the stream left out, or that precedes its first delivery, is read from the log.
    """

    def __init__(
        self, log: TailedLog, room: int = BUFFER_BYTES, verify: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """`verify` raises an error if the stream may have delivered another log than `log`."""
        self._log = log
        self._verify = verify
        self._room = room
        self._held: dict[int, FrameBuffer] = {}
        self._streams: dict[int, Stream] = {}
        self._paused: set[int] = set()

    @property
    def held_bytes(self) -> int:
        """Payload bytes of all partitions."""
        return sum(held.held_bytes for held in list(self._held.values()))

    def assign(self, partition: int, stream: Stream) -> None:
        """Starts buffering the partition. Nothing is kept from an earlier assignment."""
        self.revoke(partition)
        self._held[partition] = FrameBuffer(self._room)
        self._streams[partition] = stream

    def revoke(self, partition: int) -> None:
        """Drops the partition's frames. Every call on it that is in flight raises Revoked."""
        held = self._held.pop(partition, None)
        self._streams.pop(partition, None)
        self._paused.discard(partition)
        if held is not None:
            held.discard()

    def push(self, delivered: DeliveredFrame) -> None:
        """Buffers a delivered frame. Pauses the stream when the buffer is full."""
        partition = delivered.frame.partition
        held = self._held.get(partition)
        if held is None:
            # A late delivery of a revoked partition: the new owner gets the frame again.
            return
        held.add(delivered)
        if held.is_full:
            self._paused.add(partition)
            self._streams[partition].pause(partition)

    def push_gap(self, partition: int, offset: int, acknowledge: Callable[[], object]) -> None:
        """Takes note of a delivered record that is no frame, which `read` therefore takes from the log."""
        held = self._held.get(partition)
        if held is not None:
            held.add_gap(offset, acknowledge)

    async def first_offset(self, partition: int) -> int:
        """The lowest offset the log still holds; in an empty partition, the next offset."""
        held = self._buffer_of(partition)
        offset = await self._log.first_offset(partition)
        _check_assigned(held, partition)
        return offset

    async def read(self, partition: int, start: int, *, max_bytes: int, last: int | None = None) -> Sequence[Frame]:
        """Frames from `start` on: up to `last`, or as many as fit into `max_bytes`. Earlier frames count as counted."""
        held = self._buffer_of(partition)
        self._acknowledge_buffered(partition, held, start - 1)
        if last is not None:
            return held.complete_range(start, last) or await self._read_log(held, partition, start, max_bytes, last)
        if frames := held.contiguous_from(start, max_bytes):
            if self._verify is not None:
                await self._verify()
                _check_assigned(held, partition)
            return frames
        if held.first_from(start) is None:
            max_bytes = min(max_bytes, CATCH_UP_BYTES)
        return await self._read_log(held, partition, start, max_bytes, None)

    async def acknowledge(self, partition: int, last: int) -> None:
        """Frames up to `last` are counted: acknowledge each one to the stream. Raises Alarm past the end of the log."""
        held = self._held.get(partition)
        if held is None:
            # The flush ended after the partition was revoked: the new owner finds it done.
            return
        await self._wait_until_appended(partition, last)
        if last >= self.end_offset(partition):
            raise Alarm(f"partition {partition}: frame {last} is said to be counted, but was never appended")
        self._acknowledge_buffered(partition, held, last)

    async def wait(self, partition: int, start: int, timeout: float) -> None:  # noqa: ASYNC109 (the port's word)
        """Returns when there is a frame at or after `start`, at the latest after `timeout` seconds.

        Returns at once when the buffer is full, because the stream is paused.
        """
        held = self._buffer_of(partition)
        await held.wait(start, timeout)
        _check_assigned(held, partition)

    def end_offset(self, partition: int) -> int:
        """The next offset to be assigned, as far as known here."""
        held = self._held.get(partition)
        return max(self._log.end_offset(partition), held.end if held else 0)

    async def oldest_arrival(self, partition: int, start: int) -> int | None:
        """Arrival of the first frame at or after `start`; None if there is none."""
        held = self._held.get(partition)
        frame = held.first_from(start) if held else None
        if frame is not None and frame.offset == start:
            return frame.arrival
        if self.end_offset(partition) <= start:
            return None
        return await self._log.oldest_arrival(partition, start)

    async def _read_log(
        self, held: FrameBuffer, partition: int, start: int, max_bytes: int, last: int | None
    ) -> Sequence[Frame]:
        await self._wait_until_appended(partition, start - 1 if last is None else last)
        frames: Sequence[Frame] = []
        if self.end_offset(partition) > start:
            frames = await self._log.read(partition, start, max_bytes=max_bytes, last=last)
        if frames:
            held.record_end(frames[-1].offset + 1)
        _check_assigned(held, partition)
        return frames

    async def _wait_until_appended(self, partition: int, offset: int) -> None:
        """A claimed or counted frame exists, even if its offset is not yet known here."""
        if self.end_offset(partition) <= offset:
            await self._log.wait(partition, offset, _WAIT_SECONDS)

    def _acknowledge_buffered(self, partition: int, held: FrameBuffer, last: int) -> None:
        held.acknowledge_to(last)
        if partition in self._paused and held.has_room:
            self._paused.discard(partition)
            self._streams[partition].resume(partition)

    def _buffer_of(self, partition: int) -> FrameBuffer:
        held = self._held.get(partition)
        if held is None:
            raise Revoked(f"partition {partition} is not assigned to this worker")
        return held


def _check_assigned(held: FrameBuffer, partition: int) -> None:
    if held.is_discarded:
        raise Revoked(f"partition {partition} was given to another worker")
