"""The log and the meters of the simulation: the scheduler interleaves the run at every call."""

from collections.abc import Hashable, Sequence
from typing import Protocol

from schemas.errors import StoreFailed
from schemas.frame import Frame
from schemas.meter import MeterSet
from tests.simulator.faults import READ, SURE, CallOutcome
from tests.simulator.scenario import meter_set
from tests.simulator.scheduler import PortCall


class Learner(Protocol):
    """Adds a reply to the memory of the caller."""

    def __call__(self, reply: Hashable) -> None: ...


class SimulatedLog:
    """A log of one partition for any number of readers; acknowledged frames are deleted."""

    first_held = 0
    """Frames before this offset are deleted as well."""
    keeps_counted = False

    def __init__(self, frames: Sequence[Frame], learn: Learner) -> None:
        self.frames = frames
        self.end = 0
        self.acknowledged = -1
        self._learn = learn

    def holds(self, start: int) -> bool:
        """True if there is a frame at or after `start`."""
        return self._from(start) < self.end

    async def first_offset(self, partition: int) -> int:
        await PortCall(f"first offset of {partition}", READ)
        first = self._from(0)
        self._learn(first)
        return first

    async def read(self, partition: int, start: int, *, max_bytes: int, last: int | None = None) -> Sequence[Frame]:
        if await PortCall(f"read {partition} from {start}", READ) is CallOutcome.FAILS:
            self._learn("failed")
            raise StoreFailed("the log does not answer")
        end = self.end if last is None else min(last + 1, self.end)
        found = list(self.frames[self._from(start) : end])
        if last is None:
            found = found[: 1 + self._fitting(found[1:], max_bytes)]
        self._learn(len(found))
        return found

    async def acknowledge(self, partition: int, last: int) -> None:
        await PortCall(f"acknowledge {partition} up to {last}", SURE)
        self.acknowledged = max(self.acknowledged, last)
        self._learn("acknowledged")

    def _from(self, start: int) -> int:
        return max(start, self.first_held, 0 if self.keeps_counted else self.acknowledged + 1)

    def _fitting(self, frames: Sequence[Frame], max_bytes: int) -> int:
        total = 0
        for count, frame in enumerate(frames):
            total += len(frame.payload)
            if total > max_bytes:
                return count
        return len(frames)


class KeepingLog(SimulatedLog):
    """A log that keeps acknowledged frames, so that a late worker can read them again."""

    keeps_counted = True


class SimulatedMeters:
    """Growing meter sets; a worker may read an older version, but never an older one than it read before."""

    def __init__(self, versions: int, learn: Learner) -> None:
        self.newest = 1
        self.versions = versions
        self._learn = learn

    async def newest_version(self) -> int:
        outcome = await PortCall("newest meters", (CallOutcome.OK, CallOutcome.STALE))
        version = self.newest if outcome is CallOutcome.OK else max(1, self.newest - 1)
        self._learn(version)
        return version

    async def at_version(self, version: int) -> MeterSet:
        await PortCall(f"meters {version}", SURE)
        return meter_set(version)
