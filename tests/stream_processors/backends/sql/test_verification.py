"""Verification finds every row of usage that its events do not make, and nothing else, while flushes continue."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import pyarrow as pa
import pytest

from schemas.flush import Table
from schemas.ids import AccountId
from schemas.listing import RejectQuery
from schemas.meter import Meter
from schemas.tables import USAGE
from schemas.timestamps import DAY, MINUTE, SECOND
from schemas.verification import MeterDay, UsageDifference, Verified
from stream_processors.backends.reading.replays import ReplayLookup
from stream_processors.backends.sql.engine import SqlEngine
from stream_processors.backends.sql.verification import SqlVerification
from stream_processors.backends.store.embedded import EmbeddedStore
from stream_processors.backends.store.sharded import ShardedStore
from stream_processors.core.usage_rows import usage_rows
from tests.factories import ACCOUNT, NOW, Event, make_event, make_meter, make_replay
from tests.stream_processors.backends.sql.step_by_step_flushes import PARTITIONS, StepByStepFlushes, home_of

START = NOW // DAY * DAY - 40 * DAY
END = START + 80 * DAY

METERS = [
    make_meter(),
    make_meter("tokens", "sum", group_by={"model": "$.model"}),
    make_meter("who", "unique"),
    make_meter("last", "latest"),
    make_meter("mean", "avg"),
    make_meter("most", "max"),
]


class OneList:
    """The same meters for every account."""

    def __init__(self, meters: Sequence[Meter]) -> None:
        self._meters = meters

    async def list(self, account: AccountId) -> Sequence[Meter]:
        return [meter for meter in self._meters if meter.account == account]


def verification(flushes: StepByStepFlushes, meters: Sequence[Meter], *, slice_size: int = 50_000) -> SqlVerification:
    engines = [EmbeddedStore(SqlEngine(shard)) for shard in flushes._shards]
    replayed = ReplayLookup(ShardedStore(engines), PARTITIONS)
    return SqlVerification(flushes.store, replayed, OneList(meters), slice_size=slice_size)


def some(number: int, partition: int = 0) -> list[Event]:
    return [
        make_event(
            f"{partition}/{number}/{i}",
            {"tokens": number + i, "model": "ab"[i % 2]},
            customer_id=f"c{i}",
            timestamp=NOW - number * 7 * MINUTE - i * DAY,
        )
        for i in range(4)
    ]


async def verify_all(
    found: SqlVerification, *, start: int = START, end: int = END, limit: int = 50_000
) -> list[tuple[str, Verified]]:
    """Every part, with the code of its meter."""
    parts = []
    for meter in dict.fromkeys(day.meter for day in await found.days([ACCOUNT], start, end)):
        cursor: str | None = None
        while True:
            part = await found.verify(ACCOUNT, meter, start, end, cursor=cursor, limit=limit)
            parts.append((meter, part))
            if (cursor := part.next_cursor) is None:
                break
    return parts


def differences(parts: Sequence[tuple[str, Verified]]) -> list[UsageDifference]:
    return [difference for _, part in parts for difference in part.differences]


@pytest.mark.parametrize("slice_size", [50_000, 5, 1])
def test_a_store_that_is_right_has_no_differences(flushes: StepByStepFlushes, slice_size: int) -> None:
    """Whatever the size of the slices; every event of the name is recounted for every meter."""

    async def run() -> list[tuple[str, Verified]]:
        for number in range(6):
            await flushes.count(some(number), METERS, number=number)
        await flushes.claim(1, 0)
        return await verify_all(verification(flushes, METERS, slice_size=slice_size), limit=3)

    parts = asyncio.run(run())
    assert differences(parts) == []
    assert {code: sum(p.events for m, p in parts if m == code) for code in {m for m, _ in parts}} == {
        meter.code: 24 for meter in METERS
    }
    assert all(part.watermark.flushes in ({0: 5}, {}) for _, part in parts)


def test_nothing_differs_while_flushes_continue(flushes: StepByStepFlushes) -> None:
    """Two partitions flush as fast as possible."""

    async def flush(partition: int) -> None:
        for number in range(12):
            await flushes.count(some(number, partition), METERS, number=number, partition=partition)

    async def run() -> list[tuple[str, Verified]]:
        parts = []
        writers = [asyncio.create_task(flush(partition)) for partition in range(PARTITIONS)]
        while not all(writer.done() for writer in writers):
            parts += await verify_all(verification(flushes, METERS, slice_size=10))
        await asyncio.gather(*writers)
        return parts

    parts = asyncio.run(run())
    skipped = sum(part.skipped is not None for _, part in parts)
    assert differences(parts) == []
    assert len(parts) > skipped


async def add_row(flushes: StepByStepFlushes, meter: Meter, customer: str, minute: int, **values: object) -> None:
    columns = {
        "account": [meter.account],
        "meter": [meter.code],
        "customer_id": [customer],
        "minute": [minute],
        "grp": [values.pop("grp", "[]")],
        **{name: [value] for name, value in values.items()},
    }
    rows = usage_rows({name: pa.array(v, USAGE.field(name).type) for name, v in columns.items()}, 1, month=202611)
    await flushes.insert(Table.USAGE, rows, 0, f"behind its back: {meter.code} {customer}")


@pytest.mark.parametrize("slice_size", [50_000, 5])
def test_a_wrong_row_is_named(flushes: StepByStepFlushes, slice_size: int) -> None:
    """By account, meter, customer, minute and group, as counted and as recounted."""
    minute = (NOW - 7 * MINUTE) // MINUTE * MINUTE

    async def run() -> list[tuple[str, Verified]]:
        for number in range(3):
            await flushes.count(some(number), METERS, number=number)
        await flushes.claim(1, 0)
        await add_row(flushes, METERS[1], "c0", minute // SECOND, grp='["a"]', sum=Decimal(4), count=1)
        return await verify_all(verification(flushes, METERS, slice_size=slice_size))

    assert differences(asyncio.run(run())) == [
        UsageDifference(
            account=ACCOUNT,
            meter="tokens",
            customer_id="c0",
            window_start=minute,
            window_end=minute + MINUTE,
            group={"model": "a"},
            counted=Decimal(5),
            recounted=Decimal(1),
        )
    ]


def test_usage_without_events_is_found(flushes: StepByStepFlushes) -> None:
    """Of a day, a customer or a meter that has none."""
    ghost = make_meter("ghost")
    elsewhere = NOW // DAY * DAY - 20 * DAY

    async def run() -> list[tuple[str, Verified]]:
        await flushes.count(some(0), METERS, number=0)
        await flushes.count(some(0, 1), METERS, number=0, partition=1)
        await add_row(flushes, ghost, "c0", NOW // MINUTE * MINUTE // SECOND, count=2)
        await add_row(flushes, METERS[0], "nobody", elsewhere // SECOND, count=1)
        return await verify_all(verification(flushes, METERS))

    found = {(d.meter, d.customer_id): (d.counted, d.recounted) for d in differences(asyncio.run(run()))}
    assert found == {("ghost", "c0"): (Decimal(2), None), ("requests", "nobody"): (Decimal(1), None)}


def test_lost_usage_is_found_and_a_column_that_shows_nowhere(flushes: StepByStepFlushes) -> None:
    """Rows that were deleted differ from nothing; of a sum the count is compared too."""

    async def run() -> list[tuple[str, Verified]]:
        await flushes.count(some(0), METERS, number=0)
        await flushes.count(some(0, 1), METERS, number=0, partition=1)
        deleted = "meter = 'requests' AND customer_id = 'c1'"
        await flushes.change(f"ALTER TABLE usage DELETE WHERE {deleted} SETTINGS mutations_sync = 1")
        await add_row(flushes, METERS[1], "c0", NOW // MINUTE * MINUTE // SECOND, grp='["a"]', count=3)
        return await verify_all(verification(flushes, METERS))

    requests, tokens = differences(asyncio.run(run()))
    assert (requests.meter, requests.customer_id, requests.counted, requests.recounted) == (
        "requests",
        "c1",
        None,
        Decimal(2),
    )
    assert (tokens.meter, tokens.customer_id, tokens.detail) == ("tokens", "c0", "count: counted 5, recounted 2")


def test_rejects_and_their_replays_are_part_of_it(flushes: StepByStepFlushes) -> None:
    """A reject is not counted; its replay is, if it was replayed."""
    meter = make_meter("tokens", "sum")
    bad = make_event("bad", {"tokens": "many"})

    async def run() -> list[tuple[str, Verified]]:
        await flushes.count([make_event("good", {"tokens": 1}), bad], [meter], number=0)
        reject = (await flushes.events.rejects(RejectQuery(account=ACCOUNT))).items[0]
        again = make_replay(make_event("bad", {"tokens": 5}), reject.id, "tokens")
        partition = home_of(again.idempotency_key)
        await flushes.count([again], [meter], number=1 if partition == 0 else 0, partition=partition)
        await flushes.claim(1, 1)
        await flushes.change(
            "ALTER TABLE rejects UPDATE properties = '{\"tokens\": 5}' WHERE 1 SETTINGS mutations_sync = 1"
        )
        return await verify_all(verification(flushes, [meter]))

    parts = asyncio.run(run())
    assert differences(parts) == []


def test_a_meter_whose_backfill_runs_is_skipped(flushes: StepByStepFlushes) -> None:
    """Its past is not counted yet; that is no difference."""
    young = make_meter("young", version=2)

    async def run() -> Verified:
        await flushes.count(some(0), METERS, number=0)
        return await verification(flushes, [young]).verify(ACCOUNT, "young", START, END)

    part = asyncio.run(run())
    assert (part.differences, part.events) == ((), 0)
    assert part.skipped is not None
    assert "backfill" in part.skipped


def test_days_have_what_there_is_to_compare(flushes: StepByStepFlushes) -> None:
    """Also a day that has usage alone; with `since`, the days of events that arrived later."""
    meter = make_meter()
    today = NOW // DAY * DAY

    async def run() -> tuple[Sequence[MeterDay], Sequence[MeterDay]]:
        await flushes.count(some(0)[:2], [meter], number=0)
        await flushes.count(some(1)[:1], [meter], number=1)
        await flushes.claim(1, 0)
        await add_row(flushes, make_meter("ghost"), "c0", (today - 9 * DAY) // SECOND, count=2)
        found = verification(flushes, [meter])
        return await found.days([ACCOUNT], START, END), await found.days([ACCOUNT], START, END, since=NOW + SECOND)

    whole, late = asyncio.run(run())
    assert [(d.meter, (today - d.start) // DAY, d.events, d.rows > 0) for d in whole] == [
        ("ghost", 9, 0, True),
        ("requests", 1, 1, True),
        ("requests", 0, 2, True),
    ]
    assert [(d.meter, (today - d.start) // DAY, d.events) for d in late] == [("requests", 0, 1)]
