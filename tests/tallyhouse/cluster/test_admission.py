"""A gateway appends only to the log that the usage is counted from, and only while its clock is right."""

import asyncio
from collections.abc import Sequence

import pytest

from ingest_gateway.ingest.arrival_clock import ArrivalClock
from schemas.errors import Conflict, IdentityChanged, LogFailed, Overloaded, StoreFailed
from schemas.frame import NewFrame
from schemas.logger import NullLogger
from schemas.metrics import NullMetrics
from schemas.timestamps import DAY, SECOND
from stream_processors.backends.log.memory import MemoryFrameLog
from stream_processors.backends.sql.client import Row
from tallyhouse.cluster.admission import Admission, AdmissionSink
from tallyhouse.cluster.clock_skew import VerifiedClock

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000 * SECOND
FRAME = NewFrame(partition=0, arrival=NOW, payload=b"x")


class WatchedMemoryLog(MemoryFrameLog):
    """A log that may be replaced, and whose brokers may not answer."""

    def __init__(self) -> None:
        super().__init__(2)
        self.fault: Exception | None = None
        self.refreshes = 0

    async def refresh_ends(self) -> None:
        self.refreshes += 1
        if self.refreshes == 1:
            raise LogFailed("no broker answers")

    async def verify_for_appends(self) -> None:
        if self.fault is not None:
            raise self.fault


class LogLines(NullLogger):
    """The events that were logged as errors or infos."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def error(self, event: str, **fields: object) -> None:
        self.lines.append(event)

    def info(self, event: str, **fields: object) -> None:
        self.lines.append(event)


class WatchedGateway:
    """An admission with a log, a store and a machine's clock under the test's control."""

    def __init__(self) -> None:
        self.log, self.lines = WatchedMemoryLog(), LogLines()
        self.time = self.store_time = NOW
        self.store_fault: Exception | None = None
        clock = VerifiedClock(lambda: self.time, lambda: 0.0)
        self.admission = Admission(self.log, self, clock, 2, self.lines)
        self.arrivals = ArrivalClock(clock.now, 0, NullMetrics(), self.lines)
        self.sink = AdmissionSink(self.log, self.admission.refusals)

    async def rows(self, sql: str) -> Sequence[Row]:
        """The store's clock."""
        if self.store_fault is not None:
            raise self.store_fault
        return [(self.store_time,)]

    async def look(self, times: int = 1) -> None:
        looks = iter(range(times))

        async def sleep(_seconds: float) -> None:
            if next(looks, None) is None:
                raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await self.admission.watch(self.arrivals, sleep=sleep)


async def test_a_replaced_log_refuses_posts_until_it_is_back() -> None:
    """The alarm is logged once, when it begins, and its end."""
    gateway = WatchedGateway()
    await gateway.sink.append([FRAME])
    gateway.log.fault = IdentityChanged("the topic was deleted and created again")
    await gateway.look(3)
    with pytest.raises(Overloaded, match="deleted and created again"):
        await gateway.sink.append([FRAME])
    assert gateway.log.end_offset(0) == 1
    gateway.log.fault = LogFailed("no broker answers")
    await gateway.look()
    with pytest.raises(Overloaded):
        await gateway.sink.append([FRAME])
    gateway.log.fault = None
    await gateway.look()
    await gateway.sink.append([FRAME])
    assert gateway.lines.lines == ["posts are refused: an operator must act", "posts are accepted again"]


async def test_a_wrong_clock_refuses_posts_until_it_is_right() -> None:
    """Nothing is stamped meanwhile, so the arrivals are right as soon as the clock is."""
    gateway = WatchedGateway()
    assert gateway.arrivals.stamp() == NOW
    gateway.time += 21 * DAY
    with pytest.raises(Overloaded):
        gateway.arrivals.stamp()
    await gateway.look()
    with pytest.raises(Overloaded, match="ahead of the usage store's"):
        await gateway.sink.append([FRAME])
    with pytest.raises(Conflict):
        await gateway.admission.compare_clock()
    gateway.time = NOW + SECOND
    gateway.store_fault = StoreFailed("the store does not answer")
    await gateway.look()
    with pytest.raises(Overloaded):
        gateway.arrivals.stamp()
    gateway.store_fault = None
    await gateway.look()
    await gateway.sink.append([FRAME])
    assert gateway.arrivals.stamp() == NOW + SECOND


async def test_arrivals_of_other_gateways_are_followed_up_to_two_minutes() -> None:
    """Also after a look that failed; an arrival from the future moves nothing, and is logged once."""
    gateway = WatchedGateway()
    await gateway.log.append([NewFrame(partition=1, arrival=NOW + 5, payload=b"x")])
    await gateway.look(2)
    assert (gateway.log.refreshes, gateway.arrivals.stamp()) == (2, NOW + 5)
    await gateway.log.append([NewFrame(partition=0, arrival=NOW + 21 * DAY, payload=b"x")])
    await gateway.look(3)
    assert gateway.arrivals.stamp() == NOW + 5
    assert len(gateway.lines.lines) == 1
    assert "arrived in the future" in gateway.lines.lines[0]
