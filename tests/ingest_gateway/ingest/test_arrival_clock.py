"""Arrival stamps never go back: not within a process, not across a restart."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from ingest_gateway.ingest.arrival_clock import ArrivalClock, last_arrivals, newest_arrival
from schemas.errors import AwaitsDecision
from schemas.frame import NewFrame
from schemas.logger import NullLogger
from schemas.metrics import NullMetrics
from schemas.timestamps import DAY, SECOND
from stream_processors.backends.log.memory import MemoryFrameLog
from tallyhouse.runtime.prometheus import PrometheusMetrics
from tests.factories import NOW


class LogLines(NullLogger):
    """Records the logged lines."""

    def __init__(self) -> None:
        self.logged: list[tuple[str, object]] = []

    def error(self, event: str, **fields: object) -> None:
        self.logged.append((event, fields["behind_seconds"]))

    def info(self, event: str, **fields: object) -> None:
        self.logged.append((event, None))


class FakeSeenMonths:
    """The arrival of the newest key of each partition."""

    def __init__(self, arrivals: list[int | None]) -> None:
        self._arrivals = arrivals

    async def last_arrival(self, partition: int) -> int | None:
        return self._arrivals[partition]


@given(newest=st.integers(0, 10), clock=st.lists(st.integers(0, 10), min_size=1))
def test_a_stamp_is_the_time_or_the_newest_stamp(newest: int, clock: list[int]) -> None:
    """Stamps follow the clock upwards only."""
    arrivals = ArrivalClock(iter(clock).__next__, newest, NullMetrics(), NullLogger())
    assert [arrivals.stamp() for _ in clock] == [max(newest, *clock[: n + 1]) for n in range(len(clock))]


def test_a_clock_that_is_behind_is_logged_once_and_so_is_its_recovery() -> None:
    """The metric shows the lag all the time; a lag below a second is not logged."""
    metrics, lines = PrometheusMetrics(), LogLines()
    clock = iter([NOW - SECOND // 2, NOW - 21 * DAY, NOW - DAY, NOW + 1, NOW + 2])
    arrivals = ArrivalClock(clock.__next__, NOW, metrics, lines)
    shown = []
    for _ in range(5):
        arrivals.stamp()
        page = metrics.render().decode().splitlines()
        shown += [float(line.split()[1]) for line in page if line.startswith("tallyhouse_clock_behind_seconds ")]
    assert shown == [0.5, 21 * 86_400, 86_400, 0, 0]
    assert [seconds for _, seconds in lines.logged] == [21 * 86_400, None]


def test_the_newest_arrival_is_that_of_the_newest_frame_or_key() -> None:
    """Across all partitions; the keys stand for frames that are no longer in the log."""

    async def found(frames: list[tuple[int, int]], keys: list[int | None]) -> int:
        log = MemoryFrameLog(2)
        for partition, arrival in frames:
            await log.append([NewFrame(partition=partition, arrival=arrival, payload=b"x")])
        await log.acknowledge(0, 0)
        return await newest_arrival(log, FakeSeenMonths(keys), 2)

    assert asyncio.run(found([(0, 3), (0, 5), (1, 4)], [3, None])) == 5
    assert asyncio.run(found([(0, 9), (1, 4)], [9, None])) == 9
    assert asyncio.run(found([(0, 2)], [None, None])) == 0


def test_arrivals_never_precede_those_of_another_process() -> None:
    """That process had a clock ahead: a retry here must not look younger than its first attempt there."""
    clock = iter([NOW, NOW + 1, NOW + 4])
    arrivals = ArrivalClock(clock.__next__, 0, PrometheusMetrics(), LogLines())
    assert arrivals.stamp() == NOW
    arrivals.not_before(NOW + 3)
    arrivals.not_before(NOW + 2)
    assert [arrivals.stamp(), arrivals.stamp()] == [NOW + 3, NOW + 4]


def test_the_growth_of_a_lag_is_logged_again() -> None:
    """Whenever it has doubled, not with every stamp."""
    lines = LogLines()
    behind = [SECOND, SECOND, 2 * SECOND - 1, 2 * SECOND, 3 * SECOND, 3_600 * SECOND, 5_000 * SECOND]
    clock = iter([NOW - each for each in behind])
    arrivals = ArrivalClock(clock.__next__, NOW, PrometheusMetrics(), lines)
    for _ in behind:
        arrivals.stamp()
    assert [seconds for _, seconds in lines.logged] == [1, 2, 3_600]


class HoledLog(MemoryFrameLog):
    """A log whose last records are no frames, or cannot be read."""

    def __init__(self, last_frame: int) -> None:
        super().__init__(1)
        self._last_frame = last_frame

    async def oldest_arrival(self, partition: int, start: int) -> int | None:
        if start > self._last_frame + 1:
            return None
        if start == self._last_frame + 1:
            raise AwaitsDecision("damaged")
        return await super().oldest_arrival(partition, start)


def test_records_that_are_no_frames_hide_no_arrival_and_stop_no_gateway() -> None:
    """The last frame before them counts; a log that ends with many of them has none."""

    async def found(last_frame: int) -> list[int]:
        log = HoledLog(last_frame)
        await log.append([NewFrame(partition=0, arrival=number, payload=b"x") for number in range(20)])
        return list((await last_arrivals(log, 1)).values())

    assert asyncio.run(found(16)) == [16]
    assert asyncio.run(found(2)) == []
