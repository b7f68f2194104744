"""The intake under stress: full queues, stalled and failing logs, cancelled callers, and any mix of them."""

import asyncio
import gc
import random
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_gateway.http.memory_budget import MemoryBudget
from ingest_gateway.ingest.batch import BatchOutcome, PostedBatch
from ingest_gateway.ingest.intake import Intake
from ingest_gateway.ingest.intake_queue import IntakePolicy
from schemas.errors import Overloaded
from schemas.event import RejectCode
from schemas.metrics import NullMetrics
from tests.ingest_gateway.ingest.doubles import PARTITIONS, FakeLog, intake_over
from tests.ingest_gateway.ingest.examples import batch, event, post

POLICY = IntakePolicy(partitions=PARTITIONS)


def test_a_full_queue_refuses_requests() -> None:
    """The queue is bounded by number and by bytes; requests in it are still answered."""

    async def story(policy: IntakePolicy) -> None:
        log = FakeLog()
        log.gate.clear()
        async with intake_over(log, policy=policy) as intake:
            waiting = [asyncio.create_task(intake.submit(post(batch(event("first")))))]
            await log.append_started.wait()
            waiting += [asyncio.create_task(intake.submit(post(batch(event(str(number)))))) for number in range(3)]
            await asyncio.sleep(0)
            with pytest.raises(Overloaded, match="too many events are waiting") as caught:
                await intake.submit(post(batch(event("one too many"))))
            assert caught.value.retry_after >= 1
            log.gate.set()
            assert [outcome.accepted for outcome in await asyncio.gather(*waiting)] == [1] * 4

    size = post(batch(event("1"))).size
    asyncio.run(story(IntakePolicy(partitions=PARTITIONS, queue_requests=3)))
    asyncio.run(story(IntakePolicy(partitions=PARTITIONS, queue_bytes=3 * size + 5)))


def test_a_stalled_log_refuses_requests_until_it_recovers() -> None:
    """Waiting requests time out, new ones are refused at once."""

    async def story() -> None:
        log = FakeLog()
        log.gate.clear()
        policy = IntakePolicy(partitions=PARTITIONS, longest_wait_seconds=0.02, answer_timeout_seconds=0.1)
        async with intake_over(log, policy=policy) as intake:
            waiting = [asyncio.create_task(intake.submit(post(batch(event(str(number)))))) for number in range(3)]
            await log.append_started.wait()
            waiting.append(asyncio.create_task(intake.submit(post(batch(event("queued"))))))
            answers = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(answer) for answer in answers] == [Overloaded] * 4
            with pytest.raises(Overloaded):
                await intake.submit(post(batch(event("new"))))
            log.gate.set()
            assert (await _submit_until_accepted(intake, post(batch(event("later"))))).accepted == 1
        assert "queued" not in {row["idempotency_key"] for row in log.rows()}

    asyncio.run(story())


def test_a_refused_body_is_freed_at_once() -> None:
    """No body stays in memory until the garbage collector runs: in an outage there would be many."""

    async def story() -> None:
        async with intake_over(FakeLog(fails=lambda _: True)) as intake:
            for number in range(5):
                with pytest.raises(Overloaded):
                    await intake.submit(post(batch(event(str(number)))))

    def bodies_in_memory() -> int:
        return sum(isinstance(each, PostedBatch) for each in gc.get_objects())

    gc.collect()
    before = bodies_in_memory()
    gc.disable()
    try:
        asyncio.run(story())
        assert bodies_in_memory() == before
    finally:
        gc.enable()


async def _submit_until_accepted(intake: Intake, posted: PostedBatch) -> BatchOutcome:
    async with asyncio.timeout(10):
        while True:
            try:
                return await intake.submit(posted)
            except Overloaded:
                await asyncio.sleep(0)


def test_stopping_stores_waiting_requests_and_refuses_new_ones() -> None:

    async def story() -> None:
        log = FakeLog()
        intake = intake_over(log)
        async with intake:
            waiting = [asyncio.create_task(intake.submit(post(batch(event(str(number)))))) for number in range(5)]
            await asyncio.sleep(0)
        assert [outcome.accepted for outcome in await asyncio.gather(*waiting)] == [1] * 5
        with pytest.raises(Overloaded, match="stopping"):
            await intake.submit(post(batch(event("late"))))

    asyncio.run(story())


def test_stopping_does_not_wait_for_a_stalled_log() -> None:
    """The stop waits no longer than the answer timeout."""

    async def story() -> None:
        log = FakeLog()
        log.gate.clear()
        async with intake_over(log, policy=IntakePolicy(partitions=PARTITIONS, answer_timeout_seconds=0.05)) as intake:
            waiting = asyncio.create_task(intake.submit(post(batch(event()))))
            await log.append_started.wait()
        with pytest.raises(Overloaded):
            await waiting

    asyncio.run(story())


def test_a_bug_reaches_the_request_and_does_not_end_the_intake() -> None:
    """The error is not disguised as Overloaded, and the next group is stored."""

    async def story() -> None:
        clock = iter(["not a number", 5])
        async with intake_over(FakeLog(), clock=lambda: next(clock)) as intake:  # type: ignore[arg-type, return-value]  # the bug
            with pytest.raises(TypeError):
                await intake.submit(post(batch(event())))
            assert (await intake.submit(post(batch(event(timestamp="1970-01-01T00:00:00Z"))))).accepted == 1

    asyncio.run(story())


def test_the_memory_budget_is_returned() -> None:
    """A request's share is free after it, however it ended; a single request over the budget is admitted."""
    budget = MemoryBudget(100, NullMetrics())
    with budget.share() as giant:
        giant.grow(1_000)
        with pytest.raises(Overloaded, match="1000 bytes"), budget.share() as other:
            other.grow(1)
    with budget.share() as one, budget.share() as two:
        one.grow(60)
        two.grow(40)
        with pytest.raises(Overloaded):
            two.grow(1)
    budget.reserve(100)


small_events = st.builds(
    event,
    st.sampled_from("abcdef"),
    customer_id=st.sampled_from(["c1", "c1", "c1", "c2"]),
    timestamp=st.sampled_from(["2026-11-21T11:00:00Z"] * 6 + ["2020-01-01T00:00:00Z", "2026-11-22T00:00:00Z", "soon"]),
)
requests = st.tuples(st.lists(small_events, min_size=1, max_size=6), st.booleans())


@settings(max_examples=2 * settings().max_examples)
@given(posts=st.lists(requests, max_size=14), failing=st.sets(st.integers(0, 12)), seed=st.integers(0, 2**32))
def test_any_mix_counts_each_key_once(posts: list[tuple[Any, bool]], failing: set[int], seed: int) -> None:
    """Overlapping requests, strict or not, with failing appends and cancelled callers: stored events and verdicts
    are those of a plain dictionary."""
    log = FakeLog(fails=failing.__contains__)
    asyncio.run(_story(log, posts, random.Random(seed)))
    stored: dict[str, list[str]] = defaultdict(list)
    for row in log.rows():
        stored[str(row["idempotency_key"])].append(str(row["customer_id"]))
    assert all(len(customers) == 1 for customers in stored.values())


async def _story(log: FakeLog, posts: list[tuple[Any, bool]], chance: random.Random) -> None:
    policy = IntakePolicy(partitions=PARTITIONS, group_events=10, thread_bytes=chance.choice([0, 10**9]))
    async with intake_over(log, policy=policy) as intake:
        running = []
        for events, strict in posts:
            posted = post(batch(*events), strict=strict)
            running.append((events, strict, asyncio.create_task(intake.submit(posted))))
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            if chance.random() < 0.1:
                running[-1][2].cancel()
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*(task for *_, task in running), return_exceptions=True)
    stored = {row["idempotency_key"]: row["customer_id"] for row in log.rows()}
    for (events, strict, _), answer in zip(running, answers, strict=True):
        if isinstance(answer, BatchOutcome):
            _agrees(answer, events, strict, stored)
        else:
            assert isinstance(answer, (Overloaded, asyncio.CancelledError))


def _agrees(outcome: BatchOutcome, events: list[dict[str, Any]], strict: bool, stored: dict[object, object]) -> None:
    """Every event has one verdict, and the verdict agrees with the log."""
    bad = {rejection.index: rejection.code for rejection in outcome.rejections}
    assert [rejection.index for rejection in outcome.rejections] == sorted(bad)
    assert outcome.accepted + outcome.duplicates + len(bad) + outcome.held_back == len(events)
    if strict and bad:
        assert outcome.is_refused
        return
    for index, posted in enumerate(events):
        same = stored.get(posted["idempotency_key"]) == posted["customer_id"]
        match bad.get(index):
            case None:
                assert same
            case RejectCode.CONFLICT:
                assert not same
                assert posted["idempotency_key"] in stored
            case _:
                assert posted["timestamp"] != "2026-11-21T11:00:00Z"
