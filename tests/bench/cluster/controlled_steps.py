"""Partition steps for the benchmark: some wait for a gate, some only take and acknowledge frames."""

import asyncio
import time

from schemas.frame import Frame
from stream_processors.backends.log.buffered import BufferedLog
from stream_processors.backends.log.frame_buffer import DeliveredFrame
from stream_processors.core.flush_plan import frames_for_one_flush
from stream_processors.flushing.partition import Partition, Position
from stream_processors.flushing.policy import FlushPolicy
from stream_processors.flushing.retry import Attempts
from tests.bench.figures import TotalsDiffer

_POLICY = FlushPolicy()


class CountedFrames(BufferedLog):
    """Counts the frames that the stream has delivered."""

    delivered = 0

    def push(self, delivered: DeliveredFrame) -> None:
        self.delivered += 1
        super().push(delivered)


class TakingSteps:
    """Acknowledges the frames of a flush at once. Raises TotalsDiffer unless each frame comes once, in order."""

    def __init__(self, number: int, frames: BufferedLog) -> None:
        self.number = number
        self.position = Position(number=0, offset=0, version=0)
        self.attempts = Attempts(time.perf_counter)
        self.frame_bytes = 0
        self._frames = frames

    async def step(self) -> int:
        position = self.position
        waiting = await self._frames.read(self.number, position.offset, max_bytes=_POLICY.max_bytes)
        taken = frames_for_one_flush(waiting, _POLICY.max_raw_bytes)
        for offset, frame in enumerate(taken, position.offset):
            self._take(frame, offset)
        if taken:
            await self._frames.acknowledge(self.number, taken[-1].offset)
        offset = position.offset + len(taken)
        self.position = Position(number=position.number + 1, offset=offset, version=0)
        return len(taken)

    def _take(self, frame: Frame, offset: int) -> None:
        if frame.offset != offset:
            raise TotalsDiffer(f"partition {self.number}: frame {frame.offset} came instead of {offset}")
        self.frame_bytes += len(frame.payload)


class GatedSteps:
    """Steps that wait for the gate; `ended` is the time of the last one.

    The boot is a separate step: a step that also flushed would find no delivered frame yet, and read the log itself.
    """

    def __init__(self, steps: TakingSteps | Partition, gate: asyncio.Event) -> None:
        self.steps = steps
        self.ended = 0.0
        self._gate = gate

    @property
    def number(self) -> int:
        return self.steps.number

    @property
    def position(self) -> Position | None:
        return self.steps.position

    @property
    def attempts(self) -> Attempts:
        return self.steps.attempts

    async def step(self) -> int:
        if isinstance(self.steps, Partition) and self.position is None:
            await self.steps.boot()
            return 0
        await self._gate.wait()
        frames = await self.steps.step()
        if frames:
            self.ended = time.monotonic()
        return frames
