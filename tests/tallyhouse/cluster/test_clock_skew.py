"""Gateways with clocks that disagree."""

import asyncio
from collections.abc import Sequence

import pytest

from ingest_gateway.ingest.arrival_clock import ArrivalClock
from schemas.errors import Conflict, StoreFailed
from schemas.frame import NewFrame
from schemas.logger import NullLogger
from schemas.timestamps import SECOND
from stream_processors.backends.log.memory import MemoryFrameLog
from stream_processors.backends.sql.client import Row
from tallyhouse.cluster.clock_skew import check_clock, follow_other_gateways
from tallyhouse.runtime.prometheus import PrometheusMetrics

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000 * SECOND


class ClockedStore:
    """A store with this clock."""

    def __init__(self, now: int) -> None:
        self._now = now

    async def rows(self, sql: str) -> Sequence[Row]:
        assert "now64" in sql
        return [(self._now,)]


class ArrivalsOnlyLog(MemoryFrameLog):
    """A log that counts refreshes, of which the first one fails."""

    def __init__(self) -> None:
        super().__init__(2)
        self.refreshes = 0

    async def refresh_ends(self) -> None:
        self.refreshes += 1
        if self.refreshes == 1:
            raise StoreFailed("no broker answers")


@pytest.mark.parametrize(("seconds", "word"), [(61, "behind"), (-61, "ahead of")])
async def test_a_clock_far_from_the_stores_is_refused(seconds: int, word: str) -> None:
    """The error says how far, and in which direction."""
    with pytest.raises(Conflict, match=f"61 s {word} the usage store's"):
        await check_clock(ClockedStore(NOW + seconds * SECOND), lambda: NOW)


@pytest.mark.parametrize("seconds", [-59, 0, 59])
async def test_clocks_may_differ_by_less_than_a_minute(seconds: int) -> None:
    await check_clock(ClockedStore(NOW + seconds * SECOND), lambda: NOW)


async def test_arrivals_never_precede_those_of_another_gateway() -> None:
    """The newest frames are read periodically, also after a failure."""
    log = ArrivalsOnlyLog()
    await log.append([NewFrame(partition=1, arrival=NOW + 5, payload=b"x")])
    arrivals = ArrivalClock(lambda: NOW, 0, PrometheusMetrics(), NullLogger())
    looks = iter(range(3))

    async def sleep(_seconds: float) -> None:
        if next(looks, None) is None:
            raise asyncio.CancelledError

    assert arrivals.stamp() == NOW
    with pytest.raises(asyncio.CancelledError):
        await follow_other_gateways(arrivals, log, 2, NullLogger(), sleep=sleep)
    assert (log.refreshes, arrivals.stamp()) == (3, NOW + 5)
