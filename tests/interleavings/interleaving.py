"""A random interleaving of operations: posts, meters, flushes, crashes, backfills, replays."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.listing import Reject
from schemas.meter import Meter
from schemas.property_path import parse_path
from schemas.timestamps import DAY
from stream_processors.flushing.backfill import Backfill, BackfillPorts
from stream_processors.flushing.partition import FlushPorts, Partition
from stream_processors.flushing.policy import FlushPolicy
from tests.factories import Event
from tests.interleavings.crashing_ports import Crashed, CrashingPort, CrashPoint
from tests.stream_processors.in_memory_pipeline import PARTITIONS, InMemoryPipeline, no_pause

SIZES = (0, 700, 10**9)
"""Bytes of frames one flush may take: one frame, a few, all."""


Posts = Sequence[tuple[int, list[Event]]]
"""The arrival, and the events."""


class Interleaving:
    """Two workers that both act as the owner of every partition, and operations on them."""

    def __init__(self, pipeline: InMemoryPipeline, posts: Posts, meters: Sequence[Meter]) -> None:
        self.pipeline = pipeline
        self._posts = list(posts)
        self._meters = list(meters)
        self._workers = [self._booting(SIZES[0]), self._booting(SIZES[2])]
        self._backfill = pipeline.backfill()
        self._now = 0
        self._waited = 0

    async def post(self) -> None:
        if self._posts:
            arrival, events = self._posts.pop(0)
            self._now = arrival + self._waited
            await self.pipeline.post(events, self._now)

    async def make_meter(self) -> None:
        if self._meters:
            self.pipeline.meters.add(self._meters.pop(0))

    async def archive_meter(self) -> None:
        """Archives the oldest active meter."""
        pipeline = [meter.code for meter in self.pipeline.meters.made if meter.archived_version is None]
        if pipeline:
            self.pipeline.meters.archive(pipeline[0])

    async def replay(self, which: int, pause: int, *, readable: bool) -> None:
        """Replays some reject after a while, whatever happened to it before.

        Meters and events never change, so a replay can succeed only with a version that reads more than the one
        before. For such a version, with `readable`, the value is a number.
        """
        rejects = self.pipeline.rejects
        if rejects:
            self._waited += pause
            self._now += pause
            chosen = rejects[which % len(rejects)]
            await self.pipeline.replay(self._read(chosen, which) if readable else chosen, self._now)

    def _read(self, reject: Reject, number: int) -> Reject:
        """Reads the reject as the newer version would."""
        meter = next((meter for meter in self.pipeline.meters.made if meter.code == reject.meter), None)
        return reject if meter is None else replace(reject, properties=with_number(reject.properties, meter, number))

    async def flush(self, worker: int, partition: int) -> None:
        await self._workers[worker][partition].step()

    async def flush_both(self, partition: int) -> None:
        """Two workers flush one partition at once."""
        await asyncio.gather(*(worker[partition].step() for worker in self._workers))

    async def restart(self, worker: int, size: int) -> None:
        self._workers[worker] = self._booting(SIZES[size])

    async def crash(self, worker: int, partition: int, calls: int, after: bool) -> None:
        """Kills the worker at its n-th call of any port, and starts it again."""
        mortal = self._partition(partition, SIZES[1], CrashPoint(calls, after=after))
        try:
            while await mortal.step():
                pass
        except Crashed:
            await self.restart(worker, 1)

    async def backfill(self) -> None:
        await self._backfill.step()

    async def crash_in_backfill(self, calls: int, after: bool) -> None:
        crash_point, pipeline = CrashPoint(calls, after=after), self.pipeline
        store: Any = CrashingPort(pipeline.store, crash_point)
        backfill = Backfill(BackfillPorts(meters=pipeline.meters, history=store, tables=store), PARTITIONS)
        try:
            while await backfill.step():
                pass
        except Crashed:
            self._backfill = pipeline.backfill()

    async def end(self) -> None:
        """Completes all flushes and backfills, and checks that everything is exact."""
        while self._posts:
            await self.post()
        for partition in self._workers[0]:
            await self._drain(partition)
        while await self._backfill.step():
            pass
        self.pipeline.assert_exact()

    async def _drain(self, partition: Partition) -> None:
        """Steps until two steps in a row flush nothing: one that meets a rival flushes nothing either."""
        idle = 0
        while idle < 2:
            idle = 0 if await partition.step() else idle + 1

    def _booting(self, size: int) -> list[Partition]:
        return [self._partition(number, size) for number in range(PARTITIONS)]

    def _partition(self, number: int, size: int, crash_point: CrashPoint | None = None) -> Partition:
        pipeline = self.pipeline
        log: Any = CrashingPort(pipeline.log, crash_point) if crash_point else pipeline.log
        store: Any = CrashingPort(pipeline.store, crash_point) if crash_point else pipeline.store
        ports = FlushPorts(log=log, claims=store, tables=store, seen=store, meters=pipeline.meters, pause=no_pause)
        return Partition(number, ports, replace(FlushPolicy(filter_keys=1000), max_bytes=size))


def with_number(properties: str, meter: Meter, number: int) -> str:
    """The properties with a number at the meter's value property."""
    *outer, last = parse_path(meter.value_property or "", "value_property")
    whole = within = json.loads(properties)
    for name in outer:
        if not isinstance(within.get(name), dict):
            within[name] = {}
        within = within[name]
    within[last] = number
    return json.dumps(whole)


Operation = Callable[[Interleaving], Awaitable[None]]


PARTITION = st.integers(0, PARTITIONS - 1)
WORKER = st.integers(0, 1)
SIZE = st.integers(0, 2)
CALLS = st.integers(0, 25)
REJECT = st.integers(0, 3)
PAUSE = st.sampled_from((0, 0, 0, 1, 20 * DAY, 35 * DAY))
"""Few rejects, mostly at once, so that the same one is replayed several times."""


def operations() -> st.SearchStrategy[Operation]:
    """Every operation, with a name, so that a failing interleaving is readable."""
    return st.one_of(
        st.just(Interleaving.post),
        st.just(Interleaving.post),
        st.just(Interleaving.make_meter),
        st.just(Interleaving.archive_meter),
        replays(),
        st.builds(flush, WORKER, PARTITION),
        st.builds(flush, WORKER, PARTITION),
        st.builds(lambda p: _named(f"flush_both({p})", lambda story: story.flush_both(p)), PARTITION),
        st.builds(lambda w, s: _named(f"restart({w}, {s})", lambda story: story.restart(w, s)), WORKER, SIZE),
        st.builds(
            lambda w, p, c, a: _named(f"die({w}, {p}, {c}, {a})", lambda story: story.crash(w, p, c, a)),
            *(WORKER, PARTITION, CALLS, st.booleans()),
        ),
        st.just(Interleaving.backfill),
        st.builds(
            lambda c, a: _named(f"die_in_backfill({c}, {a})", lambda story: story.crash_in_backfill(c, a)),
            *(CALLS, st.booleans()),
        ),
    )


def flush(worker: int, partition: int) -> Operation:
    return _named(f"flush({worker}, {partition})", lambda story: story.flush(worker, partition))


def replays() -> st.SearchStrategy[Operation]:
    return st.builds(lambda which, pause, able: replaying(which, pause, readable=able), REJECT, PAUSE, st.booleans())


def replaying(which: int, pause: int = 0, *, readable: bool) -> Operation:
    return _named(
        f"trying({which}, {pause}, readable={readable})",
        lambda story: story.replay(which, pause, readable=readable),
    )


def _named(name: str, operation: Operation) -> Operation:
    operation.__name__ = name
    return operation
