"""Gateways whose clocks disagree."""

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
    """Tells the time."""

    def __init__(self, now: int) -> None:
        self._now = now

    async def rows(self, sql: str) -> Sequence[Row]:
        assert "now64" in sql
        return [(self._now,)]


class ArrivalsOnlyLog(MemoryFrameLog):
    """Asked for its ends, of which the first time fails."""

    def __init__(self) -> None:
        super().__init__(2)
        self.asked = 0

    async def refresh_ends(self) -> None:
        self.asked += 1
        if self.asked == 1:
            raise StoreFailed("no broker answers")


@pytest.mark.parametrize(("seconds", "word"), [(61, "behind"), (-61, "ahead of")])
async def test_a_clock_far_from_the_stores_is_refused(seconds: int, word: str) -> None:
    """With how far, and in which direction."""
    with pytest.raises(Conflict, match=f"61 s {word} the usage store's"):
        await check_clock(ClockedStore(NOW + seconds * SECOND), lambda: NOW)


@pytest.mark.parametrize("seconds", [-59, 0, 59])
async def test_clocks_need_not_be_the_same(seconds: int) -> None:
    """An answer takes time, and so does a time server."""
    await check_clock(ClockedStore(NOW + seconds * SECOND), lambda: NOW)


async def test_what_another_gateway_stamped_is_not_gone_behind() -> None:
    """Its frames are looked at again and again, over failures too."""
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
    assert (log.asked, arrivals.stamp()) == (3, NOW + 5)
