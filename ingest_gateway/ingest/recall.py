"""Fills the recent keys at the start from the log's end: what is durable but not yet counted when the process ended."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from ingest_gateway.ingest.recent_keys import RecentKeys
from schemas.errors import Alarm
from schemas.frame import Frame, decode
from schemas.hashing import as_halves

_FRAMES_PER_READ = 64
_WARM_UP_BYTES = 32_000_000
"""Of each partition: seconds of traffic, read in a fraction of one. What is older is the processor's to judge."""


class RecentFrames(Protocol):
    """The log, read from its end."""

    def end_offset(self, partition: int) -> int: ...

    async def first_offset(self, partition: int) -> int: ...

    async def read(self, partition: int, start: int, *, max_bytes: int, last: int | None = None) -> Sequence[Frame]: ...


async def warm_up(recent: RecentKeys, log: RecentFrames, partitions: int, most_bytes: int = _WARM_UP_BYTES) -> None:
    """A retry across a restart is then told `duplicate`, or that it conflicts, as it would have been before."""
    for partition in range(partitions):
        for frame in await _newest(log, partition, most_bytes):
            _remember(recent, frame)


async def _newest(log: RecentFrames, partition: int, most_bytes: int) -> list[Frame]:
    """The last frames, oldest first: the first event of a key is the one that stands."""
    first = await log.first_offset(partition)
    runs: list[Sequence[Frame]] = []
    size = 0
    for start, last in _backwards(first, log.end_offset(partition)):
        run = await log.read(partition, start, max_bytes=most_bytes, last=last)
        runs.append(run)
        size += sum(len(frame.payload) for frame in run)
        if size >= most_bytes:
            break
    return [frame for run in reversed(runs) for frame in run]


def _backwards(first: int, end: int) -> Iterator[tuple[int, int]]:
    """The range's parts, last part first; both ends of a part are in it."""
    for after in range(end, first, -_FRAMES_PER_READ):
        yield max(first, after - _FRAMES_PER_READ), after - 1


def _remember(recent: RecentKeys, frame: Frame) -> None:
    try:
        events = decode(frame.payload)
    except Alarm:  # The processor stops there and says so; here it costs only an honest word.
        return
    keys = as_halves(b"".join(events.column("key_hash").to_pylist()))
    bodies = events.column("body_hash").to_numpy()
    known, _ = recent.find(keys, frame.arrival)
    fresh = np.flatnonzero(~known)
    recent.remember(keys[fresh], bodies[fresh], frame.arrival)
