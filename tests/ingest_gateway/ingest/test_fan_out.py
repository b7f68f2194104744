"""An account whose events many meters count has only so many rows of usage waiting; no other account is held back."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from ingest_gateway.ingest.batch import BatchOutcome, PostedBatch
from ingest_gateway.ingest.fan_out import FanOutLimit, FanOutPolicy
from schemas.errors import Overloaded, RateLimited, StoreFailed, TooLarge
from schemas.flush import PartitionStatus
from schemas.ids import AccountId
from schemas.logger import NullLogger
from tests.ingest_gateway.ingest.examples import ACCOUNT, batch, event, post

OTHER = AccountId("other_live")
ROWS = 1_000
METERS = 50
"""So that twenty events are the most that may wait."""

pytestmark = pytest.mark.anyio


class FakeProcessors:
    """An intake, a log and its processors: each post is a frame of partition 0, counted when a test says so."""

    def __init__(self) -> None:
        self.accepted: list[PostedBatch] = []
        self.counted = 0
        self.error: Exception | None = None
        self.status_error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def submit(self, posted: PostedBatch) -> BatchOutcome:
        await self.gate.wait()
        self.accepted.append(posted)
        if self.error is not None:
            raise self.error
        return BatchOutcome(accepted=len(posted.valid), duplicates=0, rejections=posted.rejections)

    async def partitions(self) -> Sequence[PartitionStatus]:
        if self.status_error is not None:
            raise self.status_error
        waiting = len(self.accepted) - self.counted
        return [
            PartitionStatus(
                partition=0,
                flush=0,
                next_offset=self.counted,
                end_offset=len(self.accepted),
                lag_frames=waiting,
                lag_seconds=float(waiting),
                state="counting",
            ),
            # A partition whose log ends with offsets that hold no frame has nothing waiting.
            PartitionStatus(
                partition=1, flush=0, next_offset=0, end_offset=2, lag_frames=0, lag_seconds=0.0, state="counting"
            ),
        ]


class FakeMeters:
    """Fan-outs that a test changes; `error` fails both questions."""

    def __init__(self) -> None:
        self.version = 1
        self.large: dict[AccountId, dict[str, int]] = {ACCOUNT: {"api.request": METERS, "login": 2 * METERS}}
        self.asked: list[int] = []
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def newest_version(self) -> int:
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.version

    async def fan_outs(self, above: int) -> Mapping[AccountId, Mapping[str, int]]:
        self.asked.append(above)
        return {account: dict(names) for account, names in self.large.items()}


class Limited:
    """The limit over fakes, with a clock that moves by a minute at each post: every look is due."""

    def __init__(self, rows: int = ROWS, step: float = 60.0) -> None:
        self.processors = FakeProcessors()
        self.meters = FakeMeters()
        self.now = 0.0
        self.step = step
        self.limit = FanOutLimit(
            self.processors,
            self.meters,
            self.processors,
            FanOutPolicy(free=10, rows=rows),
            lambda: self.now,
            NullLogger(),
        )

    async def post(self, events: int, account: AccountId = ACCOUNT, **changes: Any) -> BatchOutcome:
        self.now += self.step
        posted = post(batch(*(event(f"k{number}", **changes) for number in range(events))))
        return await self.limit.submit(replace(posted, account=account))


async def test_only_so_many_rows_of_an_account_wait() -> None:
    """At the limit it has to wait, and learns why; when its events are counted, it may go on."""
    limited = Limited()
    assert (await limited.post(12)).accepted == 12
    assert (await limited.post(8)).accepted == 8
    with pytest.raises(RateLimited, match=r"50 meters count each 'api.request' event.* up to 1000 rows") as refused:
        await limited.post(1)
    assert refused.value.retry_after == 1
    limited.processors.counted = 1
    assert (await limited.post(12)).accepted == 12
    with pytest.raises(RateLimited):
        await limited.post(1)
    assert len(limited.processors.accepted) == 3


async def test_no_other_account_is_held_back() -> None:
    """Nor are events that few meters count, of any account."""
    limited = Limited()
    await limited.post(20)
    assert (await limited.post(1_000, OTHER)).accepted == 1_000
    assert (await limited.post(1_000, event_name="quiet")).accepted == 1_000
    with pytest.raises(RateLimited):
        await limited.post(1)


async def test_each_event_name_has_its_fan_out() -> None:
    """Ten events with a fan-out of 100 make as many rows as twenty with one of 50."""
    limited = Limited()
    assert (await limited.post(9, event_name="login")).accepted == 9
    assert (await limited.post(2)).accepted == 2
    with pytest.raises(RateLimited):
        await limited.post(1)


async def test_a_post_that_can_never_fit_says_how_much_does() -> None:
    """A retry would not help, so this is not a matter of time."""
    limited = Limited()
    with pytest.raises(TooLarge, match="Send at most 20 such events"):
        await limited.post(21)
    assert (await limited.post(20)).accepted == 20


async def test_one_event_is_never_too_much() -> None:
    """Even if it makes more rows than may wait: it is accepted when nothing else waits."""
    limited = Limited(rows=METERS - 1)
    assert (await limited.post(1)).accepted == 1
    with pytest.raises(RateLimited):
        await limited.post(1)
    limited.processors.counted = 1
    assert (await limited.post(1)).accepted == 1


async def test_posts_in_flight_wait_too() -> None:
    """Many at once are no way around the limit."""
    limited = Limited()
    limited.processors.gate.clear()
    posts = [asyncio.ensure_future(limited.post(5)) for _ in range(10)]
    await asyncio.wait(posts, return_when=asyncio.FIRST_EXCEPTION, timeout=10)
    limited.processors.gate.set()
    outcomes = await asyncio.gather(*posts, return_exceptions=True)
    assert sum(isinstance(outcome, RateLimited) for outcome in outcomes) == 6
    assert len(limited.processors.accepted) == 4


async def test_events_of_a_post_that_failed_may_wait_all_the_same() -> None:
    """They may be durable. They are forgotten like all others, when what was stored until then is counted."""
    limited = Limited()
    limited.processors.error = StoreFailed("the disk is full")
    with pytest.raises(StoreFailed):
        await limited.post(20)
    limited.processors.error = None
    with pytest.raises(RateLimited):
        await limited.post(1)
    limited.processors.counted = 1
    assert (await limited.post(1)).accepted == 1


async def test_while_nobody_knows_what_is_counted_everything_waits() -> None:
    """The limit holds without a status, and ends with it."""
    limited = Limited()
    limited.processors.status_error = Overloaded("no answer")
    await limited.post(20)
    limited.processors.counted = 1
    with pytest.raises(RateLimited):
        await limited.post(1)
    limited.processors.status_error = None
    assert (await limited.post(1)).accepted == 1


async def test_new_and_archived_meters_change_the_limit() -> None:
    """They are read again only if a version is new, and the last ones stand while the ledger does not answer."""
    limited = Limited()
    await limited.post(20)
    limited.meters.large = {OTHER: {"api.request": METERS}}
    with pytest.raises(RateLimited):
        await limited.post(1)
    assert limited.meters.asked == [10]
    limited.meters.error = ConnectionError("the ledger is away")
    limited.meters.version = 2
    with pytest.raises(RateLimited):
        await limited.post(1)
    limited.meters.error = None
    assert (await limited.post(1)).accepted == 1
    with pytest.raises(TooLarge):
        await limited.post(21, OTHER)


async def test_a_ledger_that_hangs_holds_no_post_back() -> None:
    """One post waits for it for a moment; the limit holds with the meters last known, and follows when it answers."""
    limited = Limited()
    await limited.post(20)
    limited.meters.gate.clear()
    limited.meters.large, limited.meters.version = {}, 2
    for _ in range(3):
        assert (await limited.post(1, OTHER)).accepted == 1
        with pytest.raises(RateLimited):
            await limited.post(1)
    limited.meters.gate.set()
    await asyncio.sleep(0)
    assert (await limited.post(1)).accepted == 1


async def test_without_a_limit_nobody_asks_for_meters() -> None:
    """0 sets none."""
    limited = Limited(rows=0)
    assert (await limited.post(1_000)).accepted == 1_000
    assert limited.meters.asked == []
