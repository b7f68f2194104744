"""Events count exactly once though the machine's clock is wrong for a while: intake, flush and expiry over restarts."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_gateway.ingest.arrival_clock import ArrivalClock, newest_arrival
from ingest_gateway.ingest.batch import BatchOutcome
from ingest_gateway.ingest.intake import Intake
from ingest_gateway.ingest.intake_queue import IntakePolicy
from ingest_gateway.ingest.recent_keys import RecentKeys
from ingest_gateway.ingest.replay import RejectReplayer
from schemas.event import RejectCode
from schemas.flush import Table
from schemas.listing import Reject
from schemas.logger import NullLogger
from schemas.metrics import NullMetrics
from schemas.tables import reject_id
from schemas.timestamps import DAY, MINUTE, to_iso, to_micros
from stream_processors.backends.store.memory import MemorySeenMonths
from tests.factories import NOW, WINDOW, make_event, make_meter
from tests.ingest_gateway.ingest.doubles import FakeKnownKeys
from tests.ingest_gateway.ingest.examples import batch, event, post
from tests.stream_processors.in_memory_pipeline import PARTITIONS, InMemoryPipeline, partition_of_event

HOUR = 60 * MINUTE
WEEKS = 21 * DAY


class MachineWithClock:
    """One data directory, and the processes that use it one after the other."""

    def __init__(self, *, remembers: bool = True) -> None:
        self._remembers = remembers
        self.counting = InMemoryPipeline()
        self.counting.meters.add(make_meter("tokens", "sum"))
        self.time = NOW
        """The true time."""
        self.ahead = 0
        """How far the machine's clock is ahead of the true time."""

    async def start(self) -> None:
        """A new process, which knows of the earlier ones only what is stored."""
        months = MemorySeenMonths(self.counting.engine)
        newest = await newest_arrival(self.counting.log, months, PARTITIONS) if self._remembers else 0
        self._arrivals = ArrivalClock(lambda: self.time + self.ahead, newest, NullMetrics(), NullLogger())
        self._partitions = [self.counting.partition(number) for number in range(PARTITIONS)]

    async def post(self, events: Mapping[str, int], *, tokens: object = 1) -> BatchOutcome:
        """Posts keys to a gateway that remembers none of them: only the processor can recognise repeats."""
        recent, policy = RecentKeys(2**4, WINDOW), IntakePolicy(partitions=PARTITIONS)
        bodies = [event(k, timestamp=to_iso(at), properties={"tokens": tokens}) for k, at in events.items()]
        stamp = self._arrivals.stamp
        async with Intake(self.counting.log, FakeKnownKeys({}), recent, stamp, policy, NullMetrics()) as intake:
            return await intake.submit(post(batch(*bodies)))

    async def count(self) -> None:
        for partition in self._partitions:
            while await partition.step():
                pass

    async def expire(self) -> Sequence[int]:
        return await self.counting.expiry().step()

    async def replay(self, reject: Reject) -> None:
        """Replays the reject, if that is allowed, without knowledge of an earlier replay."""
        replays = RejectReplayer(self.counting.log, self._arrivals.stamp, PARTITIONS)
        tried, _ = replays.select([reject], {meter.code: meter for meter in self.counting.meters.made})
        await replays.append(tried, "req_replay")

    def counted(self) -> Counter[str]:
        """How often each key was counted."""
        rows = self.counting.engine.rows(Table.EVENTS).to_pylist()
        return Counter(row["idempotency_key"] for row in rows)


async def a_wrong_hour(machine: MachineWithClock) -> BatchOutcome:
    """Retries within the window after a clock that was weeks ahead let keys expire; returns the verdict.

    The days are chosen so that the key lies in a month that expires.
    """
    await machine.start()
    await machine.post({"old": machine.time})
    await machine.count()
    happened = machine.time
    machine.time += 30 * DAY
    machine.ahead = WEEKS
    # In both partitions: neither holds expiry up.
    await machine.post({f"ahead {number}": machine.time for number in range(20)})
    await machine.count()
    assert await machine.expire() == [202611]
    machine.time += HOUR
    machine.ahead = 0
    await machine.start()
    verdict = await machine.post({"old": happened})
    assert (await machine.post({"young": machine.time})).accepted == 1
    await machine.count()
    return verdict


def test_weeks_ahead_for_an_hour_counts_nothing_twice() -> None:
    """An event so old that its key may have expired is refused as too old, until the clock has caught up."""
    machine = MachineWithClock()
    verdict = asyncio.run(a_wrong_hour(machine))
    assert [rejection.code for rejection in verdict.rejections] == [RejectCode.TIMESTAMP_OLD]
    assert set(machine.counted().values()) == {1}


def test_it_is_the_newest_arrival_that_keeps_it_from_counting_twice() -> None:
    """A process that ignored earlier arrivals would count the retry again."""
    machine = MachineWithClock(remembers=False)
    assert asyncio.run(a_wrong_hour(machine)).accepted == 1
    assert machine.counted()["old"] == 2


def test_a_repeat_that_waits_does_not_let_keys_expire_that_the_next_process_needs() -> None:
    """A frame without new keys leaves no arrival among the seen keys; the next process must not go back."""
    young = next(key for key in map(str, range(100)) if home_of(key) == home_of("old"))

    async def story() -> Counter[str]:
        machine = MachineWithClock()
        await machine.start()
        for key, later in (("old", 0), (young, 20 * DAY)):
            machine.time += later
            await machine.post({key: machine.time})
            await machine.count()
        machine.ahead = WEEKS
        machine.time += 10 * DAY
        await machine.post({young: NOW + 20 * DAY})
        await machine.expire()
        await machine.count()
        machine.ahead = 0
        await machine.start()
        await machine.post({"old": NOW})
        await machine.count()
        return machine.counted()

    assert asyncio.run(story()) == {"old": 1, young: 1}


def home_of(key: str) -> int:
    return partition_of_event(make_event(key))


def test_a_reject_tried_before_and_after_the_clock_was_set_back_counts_once() -> None:
    """Both replays are stamped after the reject, however far ahead it was: the second meets the first one's key."""

    async def story() -> list[dict[str, Any]]:
        machine = MachineWithClock()
        machine.ahead = WEEKS
        await machine.start()
        await machine.post({"bad": machine.time}, tokens="many")
        await machine.count()
        (row,) = machine.counting.engine.rows(Table.REJECTS).to_pylist()
        machine.ahead = 0
        for later in (0, 45 * DAY):
            machine.time += later
            await machine.start()
            await machine.replay(reject_of(row))
            await machine.count()
        rows: list[dict[str, Any]] = machine.counting.engine.rows(Table.REJECTS).to_pylist()
        return rows

    rejects = asyncio.run(story())
    assert [bool(row["replay_of"]) for row in rejects] == [False, True]


def reject_of(row: dict[str, Any]) -> Reject:
    place = [row[name] for name in ("p", "n", "offset", "place", "meter")]
    names = ("account", "meter", "code", "message", "event_name", "idempotency_key", "customer_id", "properties")
    return msgspec.convert(
        {name: row[name] for name in names}
        | {
            "id": reject_id(*place),
            "timestamp": to_micros(row["timestamp"]),
            "arrival": to_micros(row["arrival"]),
            "request_id": "req_1",
            "replay_of": None,
            "replayed": False,
        },
        Reject,
    )


class ClockPeriod(msgspec.Struct, frozen=True):
    """One stretch of time with one clock: new events and retries arrive, are counted, and may expire."""

    ahead: int
    later: int
    restart: bool
    count: bool
    expire: bool


CLOCK_PERIODS = st.lists(
    st.builds(
        ClockPeriod,
        ahead=st.sampled_from([0, 0, HOUR, WEEKS, 34 * DAY, 50 * DAY, -HOUR, -WEEKS]),
        later=st.sampled_from([HOUR, 10 * DAY, 20 * DAY, 30 * DAY]),
        restart=st.booleans(),
        count=st.booleans(),
        expire=st.booleans(),
    ),
    min_size=3,
    max_size=8,
)


@settings(max_examples=2 * settings().max_examples)
@given(clock_periods=CLOCK_PERIODS)
def test_no_key_is_counted_twice_whatever_the_clock_does(clock_periods: list[ClockPeriod]) -> None:
    """Holds over any sequence of clocks, restarts, retries, flushes and expiry."""
    machine = MachineWithClock()
    asyncio.run(_through(machine, clock_periods))
    assert set(machine.counted().values()) <= {1}


async def _through(machine: MachineWithClock, clock_periods: list[ClockPeriod]) -> None:
    posted: dict[str, int] = {}
    await machine.start()
    for number, period in enumerate(clock_periods):
        machine.time += period.later
        machine.ahead = period.ahead
        if period.restart:
            await machine.start()
        # Several keys, so that they fall into all partitions.
        posted |= {f"{number}/{key}": machine.time for key in range(5)}
        await machine.post(posted)
        if period.count:
            await machine.count()
        if period.expire:
            await machine.expire()
    await machine.count()
