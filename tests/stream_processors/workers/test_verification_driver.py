"""Verification in idle time: what arrived since the last pass first, then everything again, at a bounded rate."""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from schemas.ids import AccountId
from schemas.metrics import Counter, Gauge, Histogram
from schemas.timestamps import DAY, MINUTE, SECOND
from schemas.verification import MeterDay, UsageDifference, Verified, VerifiedPosition
from schemas.watermark import Watermark
from stream_processors.workers.verification_driver import VerificationDriver
from tests.factories import ACCOUNT, NOW

pytestmark = pytest.mark.anyio

HOUR = 60 * MINUTE
RATE = 1000


class Events:
    """Events by arrival and hour; some hours differ, or cannot be compared yet."""

    def __init__(self) -> None:
        self.arrivals: dict[int, int] = {}
        self.different: set[int] = set()
        self.skipped = False
        self.verified: list[tuple[int, int, str | None]] = []
        self.parts = 1
        self.before_part: Callable[[], None] = lambda: None

    async def accounts(self) -> Sequence[AccountId]:
        return [ACCOUNT]

    async def newest_arrival(self) -> int | None:
        return max(self.arrivals, default=None)

    async def days(
        self, accounts: Sequence[AccountId], start: int, end: int, *, since: int | None = None, span: int = DAY
    ) -> Sequence[MeterDay]:
        starts = {at // span * span for arrival, at in self.arrivals.items() if since is None or arrival >= since}
        return [MeterDay(account=ACCOUNT, meter="calls", start=at, events=1, rows=1) for at in sorted(starts)]

    async def verify(
        self, account: AccountId, meter: str, start: int, end: int, *, cursor: str | None, limit: int
    ) -> Verified:
        self.before_part()
        self.verified.append((start, end, cursor))
        part = int(cursor or 0) + 1
        wrong = [at for at in self.different if start <= at < end] if part == self.parts else []
        return Verified(
            events=500,
            differences=tuple(map(difference_at, wrong)),
            difference_count=len(wrong),
            watermark=Watermark(flushes={}),
            skipped="its backfill runs" if self.skipped else None,
            next_cursor=str(part) if part < self.parts else None,
        )


def difference_at(at: int) -> UsageDifference:
    return UsageDifference(
        account=ACCOUNT,
        meter="calls",
        customer_id="c1",
        window_start=at,
        window_end=at + MINUTE,
        group={},
        counted=Decimal(2),
        recounted=Decimal(1),
    )


class Stored:
    def __init__(self) -> None:
        self.position = VerifiedPosition()

    async def read(self) -> VerifiedPosition:
        return self.position

    async def record(self, position: VerifiedPosition) -> None:
        self.position = position


class Gauges:
    def __init__(self) -> None:
        self.values: dict[Gauge, float] = {}

    def set(self, metric: Gauge, value: float, *labels: str) -> None:
        self.values[metric] = value

    def count(self, metric: Counter, amount: float = 1, *labels: str) -> None: ...

    def observe(self, metric: Histogram, value: float, *labels: str) -> None: ...


class Lines:
    def __init__(self) -> None:
        self.errors: list[dict[str, Any]] = []
        self.failures: list[dict[str, Any]] = []

    def bind(self, **fields: Any) -> "Lines":
        return self

    def error(self, event: str, **fields: Any) -> None:
        self.errors.append({"event": event, **fields})

    def info(self, event: str, **fields: Any) -> None: ...

    def exception(self, event: str, **fields: Any) -> None:
        self.failures.append({"event": event, **fields})

    debug = warning = info


class Verifying:
    """A driver, and what it rests."""

    def __init__(self, events: Events, stored: Stored, rate: int = RATE) -> None:
        self.rests: list[float] = []
        self.gauges, self.lines = Gauges(), Lines()
        self.seconds = 0.0
        self.idle: list[bool] = []
        self.driver = VerificationDriver(
            events,
            stored,
            rate,
            logger=self.lines,
            metrics=self.gauges,
            rest=self.rest,
            monotonic=lambda: self.seconds,
        )

    async def rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.seconds += seconds
        await asyncio.sleep(0)

    def is_idle(self) -> bool:
        return self.idle.pop(0) if self.idle else True

    async def step(self) -> None:
        await self.driver.step(self.is_idle)


def hours(*numbers: int) -> list[int]:
    return [NOW // HOUR * HOUR + number * HOUR for number in numbers]


async def test_a_pass_compares_the_hours_of_new_events_and_moves_the_position() -> None:
    """The next pass compares only what has arrived since."""
    events, stored = Events(), Stored()
    first, second = hours(0, 1)
    events.arrivals = {NOW: first, NOW + SECOND: second}
    verifying = Verifying(events, stored)
    await verifying.step()
    assert events.verified == [(first, first + HOUR, None), (second, second + HOUR, None)]
    assert (verifying.driver.status.verified_until, stored.position.until) == (NOW + SECOND, NOW + SECOND)
    events.arrivals[NOW + 2 * SECOND] = second
    await verifying.step()
    assert events.verified[2:] == [(second, second + HOUR, None)]
    assert verifying.driver.status.verified_until == NOW + 2 * SECOND
    await verifying.step()
    assert verifying.driver.status.state == "verified"
    assert verifying.gauges.values[Gauge.VERIFIED_UNTIL] == (NOW + 2 * SECOND) / SECOND


async def test_it_rests_by_its_rate_and_waits_while_frames_wait() -> None:
    """Also between two parts of an hour."""
    events = Events()
    events.arrivals, events.parts = {NOW: NOW}, 3
    verifying = Verifying(events, Stored())
    verifying.idle = [False]
    await verifying.step()
    assert (events.verified, verifying.rests) == ([], [0.2])
    verifying.rests.clear()
    verifying.idle = [True, True, True, False, False]
    await verifying.step()
    assert [cursor for _, _, cursor in events.verified] == [None, "1", "2"]
    assert verifying.rests == [0.5, 0.2, 0.2, 0.5, 0.5]


async def test_events_that_may_not_be_counted_yet_begin_no_pass() -> None:
    """Frames came between the look at the log and that at the events."""
    events = Events()
    events.arrivals = {NOW: NOW}
    verifying = Verifying(events, Stored())
    verifying.idle = [True, False]
    await verifying.step()
    assert events.verified == []


async def test_a_difference_is_an_alarm_until_it_is_mended() -> None:
    """Logged once; the position does not move."""
    events, stored = Events(), Stored()
    events.arrivals = {NOW: NOW}
    events.different = {NOW}
    verifying = Verifying(events, stored)
    for _ in range(3):
        await verifying.step()
    status = verifying.driver.status
    assert status.verified_until is None
    assert status.state.startswith("different: 1 differences")
    assert "customer c1" in status.state
    assert "counted 2, recounted 1" in status.state
    assert [line["event"] for line in verifying.lines.errors] == ["usage differs from its events"]
    assert verifying.gauges.values[Gauge.USAGE_DIFFERENCES] == 1
    events.different = set()
    await verifying.step()
    await verifying.step()
    assert verifying.driver.status == msgspec.structs.replace(status, state="verified", verified_until=NOW)
    assert verifying.gauges.values[Gauge.USAGE_DIFFERENCES] == 0


async def test_a_meter_whose_backfill_runs_holds_the_position() -> None:
    """Its past is not counted yet."""
    events, stored = Events(), Stored()
    events.arrivals, events.skipped = {NOW: NOW}, True
    verifying = Verifying(events, stored)
    await verifying.step()
    assert verifying.driver.status.verified_until is None
    assert verifying.driver.status.state == "verifying"


async def test_everything_is_compared_again_once_an_hour_and_from_where_it_stopped() -> None:
    """A row of an old day may be changed behind its back; a restart does not begin again."""
    events, stored = Events(), Stored()
    days = [NOW // DAY * DAY - number * DAY for number in range(3)]
    events.arrivals = {NOW + number: day for number, day in enumerate(days)}
    stored.position = VerifiedPosition(NOW + 2, (ACCOUNT, "calls", days[2]))
    verifying = Verifying(events, stored)
    running = asyncio.create_task(verifying.driver.run(lambda: True))
    for _ in range(200):
        await asyncio.sleep(0)
    running.cancel()
    again = [start for start, end, _ in events.verified if end - start == DAY]
    assert again[:2] == [days[1], days[0]]
    assert verifying.driver.status.verified_until == NOW + 2
    assert again[2:5] in ([], [days[2], days[1], days[0]][: len(again[2:5])])


async def test_new_events_come_before_old_ones() -> None:
    """The comparison of old days ends when something has arrived."""
    events, stored = Events(), Stored()
    days = [NOW // DAY * DAY - number * DAY for number in range(3)]
    events.arrivals = {NOW + number: day for number, day in enumerate(days)}
    stored.position = VerifiedPosition(NOW + 2)
    verifying = Verifying(events, stored)

    def arrive() -> None:
        events.arrivals[NOW + 9] = NOW

    events.before_part = arrive
    verifying.driver._position = stored.position
    await verifying.step()
    assert len(events.verified) == 1
    assert stored.position.checked_again == (ACCOUNT, "calls", days[2])
    await verifying.step()
    assert verifying.driver.status.verified_until == NOW + 9


async def test_a_failure_is_retried_and_shown() -> None:
    """It is logged once."""
    events = Events()
    events.arrivals = {NOW: NOW}

    def fail() -> None:
        raise OSError("no disk")

    events.before_part = fail
    verifying = Verifying(events, Stored())
    running = asyncio.create_task(verifying.driver.run(lambda: True))
    for _ in range(50):
        await asyncio.sleep(0)
    assert verifying.driver.status.state.startswith("retrying: ")
    assert [line["event"] for line in verifying.lines.failures] == ["usage could not be verified, retrying"]
    events.before_part = lambda: None
    for _ in range(200):
        await asyncio.sleep(0)
    running.cancel()
    assert verifying.driver.status.verified_until == NOW


async def test_it_is_off_without_a_rate() -> None:
    events = Events()
    events.arrivals = {NOW: NOW}
    verifying = Verifying(events, Stored(), rate=0)
    await verifying.driver.run(lambda: True)
    assert (events.verified, verifying.driver.status.state) == ([], "off")
