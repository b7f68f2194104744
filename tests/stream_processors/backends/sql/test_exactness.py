"""Usage read while flushes continue is exact at the watermark it names."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import pyarrow as pa
import pytest

from schemas.errors import Overloaded
from schemas.flush import Table
from schemas.listing import RejectQuery
from schemas.meter import Meter
from schemas.tables import BACKFILL_CHUNK
from schemas.timestamps import DAY, MINUTE
from schemas.usage import BackfillStatus, UsageQuery, UsageResult, Window
from schemas.watermark import Watermark
from stream_processors.backends.sql.client import AsyncSqlClient, Parameters, Row
from stream_processors.backends.sql.usage_reader import SqlUsageReader
from tests.factories import ACCOUNT, NOW, Event, make_event, make_meter, make_replay
from tests.stream_processors.backends.sql.step_by_step_flushes import (
    PARTITIONS,
    StepByStepFlushes,
    home_of,
    pieces,
    plan,
)

START = (NOW - DAY) // MINUTE * MINUTE


def query_of(meter: Meter, **changes: object) -> UsageQuery:
    query = UsageQuery(account=ACCOUNT, meter=meter, start=START, end=START + 3 * DAY)
    return msgspec.structs.replace(query, **changes)


def total(answer: UsageResult) -> int:
    return int(sum(row.value for row in answer.rows))


def some(number: int, partition: int = 0) -> list[Event]:
    return [make_event(f"{partition}/{number}/{i}", {"tokens": number + i}, customer_id=f"c{i}") for i in range(3)]


def test_usage_contains_whole_flushes_and_names_them(flushes: StepByStepFlushes) -> None:
    """Between any two steps of a flush the rows are those of the flushes the watermark names."""
    meter = make_meter()

    async def run() -> list[tuple[int, dict[int, int]]]:
        await flushes.count(some(0), [meter], number=0)
        rows = plan(some(1), [meter], number=1)
        seen = []
        await flushes.claim(0, 1)
        for table in Table:
            await flushes.apply(table, rows, 0, 1)
            answer = await flushes.usage.usage(query_of(meter))
            seen.append((total(answer), answer.watermark.flushes))
        await flushes.done(0, 1)
        answer = await flushes.usage.usage(query_of(meter))
        return [*seen, (total(answer), answer.watermark.flushes)]

    events, usage, rejects, seen, done = asyncio.run(run())
    assert events == (3, {0: 0})
    assert usage == rejects == seen == done == (6, {0: 1})


def test_a_flush_in_pieces_counts_for_a_meter_with_that_meters_piece(flushes: StepByStepFlushes) -> None:
    """Between two pieces each meter has all of the flush or nothing, and its watermark says which."""
    meters = [make_meter(code) for code in ("a", "b", "c")]

    async def answers() -> list[tuple[int, int]]:
        found = [await flushes.usage.usage(query_of(meter)) for meter in meters]
        return [(total(answer), answer.watermark.flushes[0]) for answer in found]

    async def run() -> list[list[tuple[int, int]]]:
        await flushes.count(some(0), meters, number=0)
        rows = pieces(some(1), meters, number=1)
        assert len(rows) == 3
        await flushes.claim(0, 1)
        seen = []
        for number, piece in enumerate(rows):
            await flushes.insert(Table.USAGE, piece, 0, f"piece {number}")
            seen.append(await answers())
        return seen

    before, after = (3, 0), (6, 1)
    assert asyncio.run(run()) == [[after, before, before], [after, after, before], [after] * 3]


def test_a_recount_at_the_watermark_agrees_while_flushes_continue(flushes: StepByStepFlushes) -> None:
    """Two partitions flush as fast as possible; every result equals the recount at its own watermark."""
    meters = [make_meter(), make_meter("tokens", "sum"), make_meter("who", "unique"), make_meter("last", "latest")]
    queries = [
        query_of(meters[0]),
        query_of(meters[1], window=Window.DAY, customers=("c0", "c2")),
        query_of(meters[2], top=2),
        query_of(meters[3]),
    ]

    async def flush(partition: int) -> None:
        for number in range(12):
            await flushes.count(some(number, partition), meters, number=number, partition=partition)

    async def run() -> list[tuple[UsageQuery, UsageResult]]:
        answers = []
        writers = [asyncio.create_task(flush(partition)) for partition in range(PARTITIONS)]
        while not all(writer.done() for writer in writers):
            answers += [(query, await flushes.usage.usage(query)) for query in queries]
        await asyncio.gather(*writers)
        for query, answer in answers[:: max(1, len(answers) // 20)]:
            assert await flushes.recount.usage_at(query, answer.watermark) == answer
        return answers

    answers = asyncio.run(run())
    assert len({tuple(answer.watermark.flushes.items()) for _, answer in answers}) > 3


class InterruptedStore(AsyncSqlClient):
    """A store that is changed before each read of usage."""

    def __init__(self, inner: AsyncSqlClient, meanwhile: Callable[[], Awaitable[None]]) -> None:
        self._inner = inner
        self._meanwhile = meanwhile

    async def query(self, sql: str, parameters: Parameters | None = None) -> pa.Table:
        await self._meanwhile()
        return await self._inner.query(sql, parameters)

    async def rows(self, sql: str, parameters: Parameters | None = None) -> Sequence[Row]:
        return await self._inner.rows(sql, parameters)


@pytest.mark.parametrize("burst", [1, 3, 4, 9])
def test_a_read_that_flushes_overtake_still_names_what_it_read(flushes: StepByStepFlushes, burst: int) -> None:
    """However many flushes are done between reading watermark and usage, the two agree."""
    meter = make_meter()
    numbers = iter(range(1000))

    async def overtake() -> None:
        for number in itertools.islice(numbers, burst):
            await flushes.count(some(number), [meter], number=number)

    async def run() -> UsageResult:
        return await SqlUsageReader(InterruptedStore(flushes.store, overtake), PARTITIONS).usage(query_of(meter))

    answer = asyncio.run(run())
    assert total(answer) == 3 * (answer.watermark.flushes[0] + 1)


def test_a_read_that_flushes_outrun_raises(flushes: StepByStepFlushes) -> None:
    """No result is returned that may be inexact."""
    done = itertools.count()

    async def overtake() -> None:
        for _ in range(3):
            await flushes.done(0, next(done) * 1000)

    reader = SqlUsageReader(InterruptedStore(flushes.store, overtake), PARTITIONS)
    with pytest.raises(Overloaded, match="try again"):
        asyncio.run(reader.usage(query_of(make_meter())))


def test_replayed_rejects_are_part_of_a_recount(flushes: StepByStepFlushes) -> None:
    """A reject whose replay succeeded counts from the watermark of the replay on."""
    meter = make_meter("tokens", "sum")
    good, bad = make_event("good", {"tokens": 1}), make_event("bad", {"tokens": "many"})

    async def run() -> tuple[UsageResult, UsageResult, UsageResult]:
        await flushes.count([good, bad], [meter], number=0)
        reject = (await flushes.events.rejects(RejectQuery(account=ACCOUNT))).items[0]
        # As if its cause had been fixed since: the replay is measured with a value.
        again = make_replay(msgspec.structs.replace(bad, properties='{"tokens": 5}'), reject.id, "tokens")
        partition = home_of(again.idempotency_key)
        number = 1 if partition == 0 else 0
        await flushes.count([again], [meter], number=number, partition=partition)
        await flushes.change(
            "ALTER TABLE rejects UPDATE properties = '{\"tokens\": 5}' WHERE 1 SETTINGS mutations_sync = 1"
        )
        usage = await flushes.usage.usage(query_of(meter))
        assert (await flushes.events.rejects(RejectQuery(account=ACCOUNT))).items[0].replayed
        assert (await flushes.events.rejects(RejectQuery(account=ACCOUNT, open_only=True))).items == ()
        return (
            usage,
            await flushes.recount.usage_at(query_of(meter), usage.watermark),
            await flushes.recount.usage_at(query_of(meter), Watermark(flushes={0: 0})),
        )

    usage, recounted, before = asyncio.run(run())
    assert (total(usage), total(recounted), total(before)) == (6, 6, 1)


def test_a_recount_breaks_ties_of_replayed_rejects_as_usage_does(flushes: StepByStepFlushes) -> None:
    """Of two events with one timestamp the last arrival is the latest, in whatever order they are replayed."""
    meter = make_meter("tokens", "latest")
    bad = [make_event(f"bad_{number}", {"tokens": 5}) for number in range(2)]

    async def run() -> tuple[UsageResult, UsageResult]:
        # As if an earlier version could not read them.
        await flushes.count([msgspec.structs.replace(e, properties='{"tokens": "x"}') for e in bad], [meter], number=0)
        await flushes.change(
            "ALTER TABLE rejects UPDATE properties = concat('{\"tokens\": ', toString(place), '}') WHERE 1 "
            "SETTINGS mutations_sync = 1"
        )
        rejects = (await flushes.events.rejects(RejectQuery(account=ACCOUNT))).items
        for reject in rejects:
            again = make_replay(make_event("bad", reject.properties), reject.id, "tokens")
            tried.setdefault(home_of(again.idempotency_key), []).append(again)
        for partition, events in tried.items():
            await flushes.count(events, [meter], number=1, partition=partition)
        usage = await flushes.usage.usage(query_of(meter))
        return usage, await flushes.recount.usage_at(query_of(meter), usage.watermark)

    tried: dict[int, list[Event]] = {}
    usage, recounted = asyncio.run(run())
    assert (total(usage), total(recounted)) == (1, 1)


def test_a_new_meter_reports_how_far_its_backfill_has_come(flushes: StepByStepFlushes) -> None:
    """The chunks are known once every partition has a flush with the meter, and done once each has its receipt."""
    old, young = make_meter(), make_meter("young", version=2)

    async def run() -> list[BackfillStatus]:
        for number in range(BACKFILL_CHUNK + 1):
            await flushes.claim(0, number)
        seen = [await flushes.usage.backfill(young)]
        await flushes.claim(0, BACKFILL_CHUNK + 1, 2)
        await flushes.claim(1, 0, 2)
        for chunk in range(2):
            seen.append(await flushes.usage.backfill(young))
            await flushes.backfill(young, some(chunk), 0, chunk)
        return [*seen, await flushes.usage.backfill(young), await flushes.usage.backfill(old)]

    assert asyncio.run(run()) == [
        BackfillStatus(done=False, chunks_done=0, chunks_total=None),
        BackfillStatus(done=False, chunks_done=0, chunks_total=2),
        BackfillStatus(done=False, chunks_done=1, chunks_total=2),
        BackfillStatus(done=True, chunks_done=2, chunks_total=2),
        BackfillStatus(done=True, chunks_done=0, chunks_total=0),
    ]


def test_usage_of_an_archived_meter_stays_and_does_not_grow(flushes: StepByStepFlushes) -> None:
    """A recount excludes flushes counted with a meter set that no longer has the meter."""
    meter = make_meter(archived_version=2)

    async def run() -> tuple[UsageResult, UsageResult]:
        await flushes.count(some(0), [meter], number=0)
        await flushes.count(some(1), [], number=1, version=2)
        answer = await flushes.usage.usage(query_of(meter))
        return answer, await flushes.recount.usage_at(query_of(meter), answer.watermark)

    answer, recounted = asyncio.run(run())
    assert answer == recounted
    assert total(answer) == 3
