"""The intake: verdicts, one durable write for many requests, and no key remembered before it is durable."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import TypeVar

import pytest
from msgspec.structs import replace

from ingest_gateway.ingest.batch import BatchOutcome, PostedBatch, usage_id
from ingest_gateway.ingest.frames import FrameLimits
from ingest_gateway.ingest.intake import Intake
from ingest_gateway.ingest.intake_queue import IntakePolicy
from ingest_gateway.ingest.packed_strings import PackedStrings
from schemas.errors import Overloaded, StoreFailed
from schemas.event import EventFlag, RejectCode, Verdict
from schemas.frame import decode
from schemas.hashing import as_halves, partition_of
from schemas.timestamps import to_micros
from tests.clock import NOON
from tests.ingest_gateway.ingest.doubles import PARTITIONS, FakeKnownKeys, FakeLog, intake_over
from tests.ingest_gateway.ingest.examples import batch, cloudevent, event, post

Answer = TypeVar("Answer")


def run(story: Awaitable[Answer]) -> Answer:
    """Runs the story; an intake that hangs fails the test."""
    return asyncio.run(_with_timeout(story))


async def _with_timeout(story: Awaitable[Answer]) -> Answer:
    async with asyncio.timeout(30):
        return await story


def accepted(count: int) -> BatchOutcome:
    return BatchOutcome(accepted=count, duplicates=0, rejections=())


def test_what_is_stored_is_what_was_posted() -> None:
    """A row holds every field of the event, its hashes and its request; the frame belongs to its partition."""

    async def story() -> None:
        log = FakeLog()
        posted = post(batch(event(properties={"a": 1.5})))
        async with intake_over(log) as intake:
            assert await intake.submit(posted) == accepted(1)
        (row,) = log.rows()
        (frame,) = log.frames
        assert frame.arrival == to_micros(NOON)
        assert frame.partition == partition_of(as_halves(posted.valid.key_hashes), PARTITIONS)[0]
        assert row == {
            "account": "acme_live",
            "event_name": "api.request",
            "customer_id": "cust_1",
            "timestamp": to_micros(NOON - timedelta(minutes=90)) + 500_000,
            "idempotency_key": "k1",
            "key_hash": posted.valid.key_hashes,
            "body_hash": int.from_bytes(posted.valid.body_hashes, "little"),
            "properties": '{"a": 1.5}',
            "flags": 0,
            "request_id": "req_1",
            "replay_of": "",
            "replay_meter": "",
        }

    run(story())


def test_repeats_in_one_request_are_duplicates_or_conflicts() -> None:
    """The first event of a key counts."""

    async def story() -> BatchOutcome:
        async with intake_over(FakeLog()) as intake:
            return await intake.submit(post(batch(event(), event(), event(customer_id="other"), event("k2"))))

    outcome = run(story())
    assert (outcome.accepted, outcome.duplicates) == (2, 1)
    assert [(each.index, each.code) for each in outcome.rejections] == [(2, RejectCode.CONFLICT)]


@pytest.mark.parametrize(
    "moment", ["9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+23:59"]
)
@pytest.mark.parametrize("neighbours", [1, 50])
def test_a_moment_that_no_calendar_has_hurts_its_own_event_alone(moment: str, neighbours: int) -> None:
    """Of requests written together, one has an event of the year 10000 or 0: all other events are accepted."""

    async def story() -> tuple[BatchOutcome, BatchOutcome]:
        mixed = [event("bad", timestamp=moment), *(event(f"good_{number}") for number in range(neighbours))]
        async with intake_over(FakeLog()) as intake:
            return await asyncio.gather(intake.submit(post(batch(*mixed))), intake.submit(post(batch(event("other")))))

    ours, other = run(story())
    assert (ours.accepted, other) == (neighbours, accepted(1))


class UnreadableTexts(PackedStrings, frozen=True):
    """Texts of which none can be named: an answer that names a key fails."""

    def __getitem__(self, place: int) -> str:
        raise RuntimeError("a fault in making an answer")


def with_keys(posted: PostedBatch, kind: type[PackedStrings]) -> PostedBatch:
    keys = posted.valid.idempotency_keys
    return replace(posted, valid=replace(posted.valid, idempotency_keys=kind(keys.joined, keys.packed_lengths)))


async def in_one_group(intake: Intake, log: FakeLog, *posted: PostedBatch) -> list[BatchOutcome | BaseException]:
    """Posts while the log is busy with another post, so that all of these are one group."""
    log.gate.clear()
    first = asyncio.create_task(intake.submit(post(batch(event("first")))))
    await log.append_started.wait()
    waiting = [asyncio.create_task(intake.submit(each)) for each in posted]
    await asyncio.sleep(0)
    log.gate.set()
    assert await first == accepted(1)
    return await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize("place", [0, 3, 6])
def test_a_fault_in_making_one_answer_reaches_no_neighbour(place: int) -> None:
    """The group is durable by then: six requests are accepted, and the seventh alone gets the fault."""

    async def story() -> tuple[list[BatchOutcome | BaseException], int]:
        log = FakeLog()
        requests = [post(batch(event(f"k{number}"))) for number in range(6)]
        old = event("old", timestamp="2020-01-01T00:00:00Z")
        requests.insert(place, with_keys(post(batch(event("with the old one"), old)), UnreadableTexts))
        async with intake_over(log) as intake:
            answers = await in_one_group(intake, log, *requests)
            assert log.appends == 2
            return answers, len(log.rows())

    answers, stored = run(story())
    fault = answers.pop(place)
    assert isinstance(fault, RuntimeError)
    assert answers == [accepted(1)] * 6
    assert stored == 8


@pytest.mark.parametrize("place", [0, 3, 6])
def test_a_request_that_cannot_be_encoded_fails_alone(place: int) -> None:
    """Nothing was appended yet: the group is halved until the request is alone, and the others are stored."""

    async def story() -> tuple[list[BatchOutcome | BaseException], int]:
        log = FakeLog()
        requests = [post(batch(event(f"k{number}"))) for number in range(6)]
        bad = post(batch(event("bad")))
        requests.insert(place, replace(bad, valid=replace(bad.valid, timestamps=b"")))
        async with intake_over(log) as intake:
            answers = await in_one_group(intake, log, *requests)
            assert await intake.submit(post(batch(event("after")))) == accepted(1)
        return answers, len(log.rows())

    answers, stored = run(story())
    assert isinstance(answers.pop(place), Exception)
    assert answers == [accepted(1)] * 6
    assert stored == 8


def test_keys_that_cannot_be_remembered_cost_no_answer() -> None:
    """The events are durable: each request gets its verdict, whatever fails afterwards."""

    async def story() -> None:
        keys = FakeKnownKeys({}, forgets=RuntimeError("no memory left"))
        async with intake_over(FakeLog(), keys) as intake:
            assert await intake.submit(post(batch(event("a"), event("b")))) == accepted(2)
            assert (await intake.submit(post(batch(event("a"))))).duplicates == 1

    run(story())


def test_a_log_that_fails_for_one_half_refuses_that_half_alone() -> None:
    async def story() -> list[BatchOutcome | BaseException]:
        log = FakeLog(fails=lambda number: number == 2)
        bad = post(batch(event("bad")))
        requests = [
            post(batch(event("a"))),
            replace(bad, valid=replace(bad.valid, timestamps=b"")),
            post(batch(event("b"))),
        ]
        async with intake_over(log) as intake:
            return await in_one_group(intake, log, *requests)

    first, fault, second = run(story())
    assert first == accepted(1)
    assert isinstance(fault, Exception)
    assert not isinstance(fault, Overloaded)
    assert isinstance(second, Overloaded)


def test_repeats_in_later_requests_are_duplicates_or_conflicts() -> None:
    """The recent keys recognise a retry, and it gets the same usage id."""

    async def story() -> None:
        async with intake_over(FakeLog()) as intake:
            first, again = post(batch(event())), post(batch(event()))
            assert (await intake.submit(first)).verdict is Verdict.ACCEPTED
            assert (await intake.submit(again)).verdict is Verdict.DUPLICATE
            assert (await intake.submit(post(batch(event(customer_id="x"))))).verdict is Verdict.CONFLICT
            assert usage_id(first) == usage_id(again)
            assert len(usage_id(first)) == 25

    run(story())


def test_keys_counted_long_ago_are_looked_up() -> None:
    """The key hints know keys that are no longer among the recent ones."""

    async def story() -> None:
        posted = post(batch(event()))
        body = int.from_bytes(posted.valid.body_hashes, "little")
        async with intake_over(FakeLog(), FakeKnownKeys({posted.valid.key_hashes: body})) as intake:
            assert (await intake.submit(posted)).verdict is Verdict.DUPLICATE
            assert (await intake.submit(post(batch(event(event_name="x"))))).verdict is Verdict.CONFLICT

    run(story())


@pytest.mark.parametrize("keys", [FakeKnownKeys({}, error=StoreFailed("no answer")), FakeKnownKeys({}, hangs=True)])
def test_events_are_accepted_without_key_hints(keys: FakeKnownKeys) -> None:
    """If a lookup fails or hangs, events are accepted and the processor decides."""

    async def story() -> None:
        policy = IntakePolicy(partitions=PARTITIONS, lookup_timeout_seconds=0.01)
        async with intake_over(FakeLog(), keys, policy) as intake:
            assert await intake.submit(post(batch(event()))) == accepted(1)

    run(story())


def test_requests_that_wait_together_share_one_append() -> None:
    """Requests that arrive while the log is busy form a group; a repeat is answered once its first event is durable."""

    async def story() -> None:
        log = FakeLog()
        async with intake_over(log) as intake:
            log.gate.clear()
            bodies = [batch(event(f"k{number % 10}")) for number in range(20)] + [batch(event("one more"))]
            waiting = [asyncio.create_task(intake.submit(post(body))) for body in bodies]
            await log.append_started.wait()
            assert not any(each.done() for each in waiting)
            log.gate.set()
            outcomes = await asyncio.gather(*waiting)
        assert sum(outcome.accepted for outcome in outcomes) == len(log.rows()) == 11
        assert log.appends <= 2

    run(story())


def test_a_failed_append_remembers_nothing() -> None:
    """Each request of the group is refused as Overloaded, and the retry is accepted as new."""

    async def story() -> None:
        log = FakeLog(fails=lambda number: number == 0)
        async with intake_over(log) as intake:
            both = [intake.submit(post(batch(event("a")))), intake.submit(post(batch(event("a"), event("b"))))]
            answers = await asyncio.gather(*both, return_exceptions=True)
            assert [type(answer) for answer in answers] == [Overloaded, Overloaded]
            assert await intake.submit(post(batch(event("a"), event("b")))) == accepted(2)
        assert len(log.rows()) == 2

    run(story())


def test_ages_are_judged_by_the_arrival_of_the_frame() -> None:
    """35 days back and 5 minutes ahead, to the microsecond; the backfill scope lifts the first limit, with a flag."""

    async def story() -> None:
        log = FakeLog()
        at = [NOON - timedelta(days=35), NOON + timedelta(minutes=5)]
        past, ahead = at[0] - timedelta(microseconds=1), at[1] + timedelta(microseconds=1)
        events = [event(str(place), timestamp=moment.isoformat()) for place, moment in enumerate([*at, past, ahead])]
        async with intake_over(log) as intake:
            outcome = await intake.submit(post(batch(*events)))
            codes = [(each.index, each.code, each.field) for each in outcome.rejections]
            old, early = RejectCode.TIMESTAMP_OLD, RejectCode.TIMESTAMP_AHEAD
            assert outcome.accepted == 2
            assert codes == [(2, old, "timestamp"), (3, early, "timestamp")]
            later = await intake.submit(post(batch(*events), backfill=True))
            assert (later.accepted, later.duplicates, len(later.rejections)) == (1, 2, 1)
        assert {row["idempotency_key"]: row["flags"] for row in log.rows()} == {"0": 0, "1": 0, "2": EventFlag.BACKFILL}

    run(story())


def test_a_cloudevent_without_time_happens_at_its_arrival() -> None:
    """Its rejections name the attributes of CloudEvents."""

    async def story() -> None:
        log = FakeLog()
        async with intake_over(log) as intake:
            body = batch(cloudevent(time=None), cloudevent("old", time="2020-01-01T00:00:00Z"))[len('{"events": ') : -1]
            outcome = await intake.submit(post(body))
        assert [each.field for each in outcome.rejections] == ["time"]
        assert [row["timestamp"] for row in log.rows()] == [to_micros(NOON)]

    run(story())


def test_strict_is_all_or_nothing() -> None:
    """A strict request with a conflict, an event too old or an invalid one stores nothing and lists the rejections."""

    async def story() -> None:
        log = FakeLog()
        async with intake_over(log) as intake:
            assert await intake.submit(post(batch(event("a"), event("b")), strict=True)) == accepted(2)
            for bad in (event("a", customer_id="x"), event("c", timestamp="2020-01-01T00:00:00Z"), {"oops": 1}):
                outcome = await intake.submit(post(batch(event("new"), event("b"), bad), strict=True))
                assert (outcome.held_back, len(outcome.rejections)) == (2, 1)
                assert outcome.is_refused
            assert await intake.submit(post(batch(event("new"), event("b")))) == BatchOutcome(
                accepted=1, duplicates=1, rejections=()
            )
        assert sorted(str(row["idempotency_key"]) for row in log.rows()) == ["a", "b", "new"]

    run(story())


def test_no_event_repeats_one_that_was_held_back() -> None:
    """A key of a held-back request is new to the next request, even when both wait together."""

    async def story() -> None:
        log = FakeLog()
        async with intake_over(log) as intake:
            await intake.submit(post(batch(event("seen"))))
            strict = intake.submit(post(batch(event("k"), event("seen", customer_id="x")), strict=True))
            plain = intake.submit(post(batch(event("k"))))
            first, second = await asyncio.gather(strict, plain)
        assert (first.accepted, first.held_back, second.accepted) == (0, 1, 1)

    run(story())


def test_large_groups_are_cut_into_frames_and_large_queues_into_groups() -> None:
    """The limits hold, and no event is lost or out of order at a boundary."""

    async def story() -> None:
        log = FakeLog()
        policy = IntakePolicy(
            partitions=PARTITIONS,
            frame_limits=FrameLimits(events=7, properties_bytes=300),
            group_events=60,
            thread_bytes=0,
        )
        async with intake_over(log, policy=policy) as intake:
            bodies = [batch(*[event(f"{request}/{number:02}") for number in range(25)]) for request in range(9)]
            await asyncio.gather(*[intake.submit(post(body)) for body in bodies])
        sizes = [decode(frame.payload).num_rows for frame in log.frames]
        assert max(sizes) <= 7
        assert sum(sizes) == 9 * 25
        assert log.appends == 5
        keys = [str(row["idempotency_key"]) for row in log.rows()]
        for partition in range(PARTITIONS):
            frames = [frame for frame in log.frames if frame.partition == partition]
            mine = [key for frame in frames for key in decode(frame.payload)["idempotency_key"].to_pylist()]
            assert mine == sorted(mine)
        assert len(set(keys)) == len(keys)

    run(story())
