"""The chapters a story is made of: posts, meters, flushes of any size, rivals, deaths, backfills, replays."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from msgspec.structs import replace

from schemas.listing import Reject
from schemas.meter import Meter
from schemas.property_path import parse_path
from stream_processors.flushing.backfill import Backfill, BackfillPorts
from stream_processors.flushing.partition import FlushPorts, Partition
from stream_processors.flushing.policy import FlushPolicy
from tests.factories import Event
from tests.interleavings.crashing_ports import Crashed, CrashingPort, CrashPoint
from tests.stream_processors.in_memory_pipeline import PARTITIONS, InMemoryPipeline, no_pause

SIZES = (0, 700, 10**9)
"""Bytes of frames one flush may take: one frame, a few, all."""


Posts = Sequence[tuple[int, list[Event]]]
"""When they arrive, and the events."""


class Interleaving:
    """Two workers that both believe to own every partition, and what happens to them."""

    def __init__(self, counting: InMemoryPipeline, posts: Posts, meters: Sequence[Meter]) -> None:
        self.counting = counting
        self._posts = list(posts)
        self._meters = list(meters)
        self._workers = [self._booting(SIZES[0]), self._booting(SIZES[2])]
        self._backfill = counting.backfill()
        self._now = 0
        self._waited = 0

    async def post(self) -> None:
        if self._posts:
            arrival, events = self._posts.pop(0)
            self._now = arrival + self._waited
            await self.counting.post(events, self._now)

    async def make_meter(self) -> None:
        if self._meters:
            self.counting.meters.add(self._meters.pop(0))

    async def archive_meter(self) -> None:
        """The oldest one that still counts."""
        counting = [meter.code for meter in self.counting.meters.made if meter.archived_version is None]
        if counting:
            self.counting.meters.archive(counting[0])

    async def replay(self, which: int, pause: int, *, readable: bool) -> None:
        """Some reject is replayed after a while, whatever became of it before.

        Meters and events never change, so a try can succeed only with a program that reads more than the one
        before. To whom it is `readable`, the value is a number.
        """
        rejects = self.counting.rejects
        if rejects:
            self._waited += pause
            self._now += pause
            chosen = rejects[which % len(rejects)]
            await self.counting.replay(self._read(chosen, which) if readable else chosen, self._now)

    def _read(self, reject: Reject, number: int) -> Reject:
        """As the newer program would."""
        meter = next((meter for meter in self.counting.meters.made if meter.code == reject.meter), None)
        return reject if meter is None else replace(reject, properties=with_number(reject.properties, meter, number))

    async def flush(self, worker: int, partition: int) -> None:
        await self._workers[worker][partition].step()

    async def flush_both(self, partition: int) -> None:
        """Two processors at once on one partition."""
        await asyncio.gather(*(worker[partition].step() for worker in self._workers))

    async def restart(self, worker: int, size: int) -> None:
        self._workers[worker] = self._booting(SIZES[size])

    async def crash(self, worker: int, partition: int, calls: int, after: bool) -> None:
        """The worker is killed at its so-manieth call of any port, and starts again."""
        mortal = self._partition(partition, SIZES[1], CrashPoint(calls, after=after))
        try:
            while await mortal.step():
                pass
        except Crashed:
            await self.restart(worker, 1)

    async def backfill(self) -> None:
        await self._backfill.step()

    async def crash_in_backfill(self, calls: int, after: bool) -> None:
        crash_point, counting = CrashPoint(calls, after=after), self.counting
        store: Any = CrashingPort(counting.store, crash_point)
        backfill = Backfill(BackfillPorts(meters=counting.meters, history=store, tables=store), PARTITIONS)
        try:
            while await backfill.step():
                pass
        except Crashed:
            self._backfill = counting.backfill()

    async def end(self) -> None:
        """All is posted, made and counted, and then it is exact."""
        while self._posts:
            await self.post()
        for partition in self._workers[0]:
            await self._drain(partition)
        while await self._backfill.step():
            pass
        self.counting.assert_exact()

    async def _drain(self, partition: Partition) -> None:
        """A step that met a rival does nothing but forget, so nothing waits only after two such."""
        idle = 0
        while idle < 2:
            idle = 0 if await partition.step() else idle + 1

    def _booting(self, size: int) -> list[Partition]:
        return [self._partition(number, size) for number in range(PARTITIONS)]

    def _partition(self, number: int, size: int, crash_point: CrashPoint | None = None) -> Partition:
        counting = self.counting
        log: Any = CrashingPort(counting.log, crash_point) if crash_point else counting.log
        store: Any = CrashingPort(counting.store, crash_point) if crash_point else counting.store
        ports = FlushPorts(log=log, claims=store, tables=store, seen=store, meters=counting.meters, pause=no_pause)
        return Partition(number, ports, replace(FlushPolicy(filter_keys=1000), max_bytes=size))


def with_number(properties: str, meter: Meter, number: int) -> str:
    """The properties with a number where the meter looks for its value."""
    *outer, last = parse_path(meter.value_property or "", "value_property")
    whole = within = json.loads(properties)
    for name in outer:
        if not isinstance(within.get(name), dict):
            within[name] = {}
        within = within[name]
    within[last] = number
    return json.dumps(whole)


Operation = Callable[[Interleaving], Awaitable[None]]
