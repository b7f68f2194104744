"""The reader of the store in memory gives the same results as that of the SQL store."""

import asyncio
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.flush import UNCOUNTED, Table
from schemas.tables import backfill_receipt
from schemas.timestamps import DAY, MINUTE
from schemas.usage import BackfillStatus, UsageQuery, UsageResult, Window
from stream_processors.backends.store.memory import MemoryEngine
from stream_processors.backends.store.memory_usage_reader import MemoryUsageReader
from stream_processors.core.measure import measure
from stream_processors.core.usage_rows import with_receipt
from tests.factories import ACCOUNT, NOW, make_claim, make_event, make_meter
from tests.stream_processors.backends.sql.step_by_step_flushes import PARTITIONS, StepByStepFlushes, plan

MONTH = 202611
METER = make_meter("tokens", "avg", group_by={"model": "$.model"})
QUERY = UsageQuery(
    account=ACCOUNT,
    meter=METER,
    start=(NOW - DAY) // MINUTE * MINUTE,
    end=(NOW + DAY) // MINUTE * MINUTE,
    window=Window.DAY,
    timezone="America/New_York",
    group_by=("model",),
)


async def step(engine: MemoryEngine, number: int, tables: Sequence[Table], *, done: bool) -> None:
    events = [make_event(f"{number}/{i}", {"tokens": i + number, "model": "ab"[i % 2]}) for i in range(3)]
    rows = plan(events, [METER], number=number)
    await engine.insert_claim(make_claim(number, number, number), f"claim/{number}")
    for table in tables:
        if getattr(rows, table.value).num_rows:
            await engine.insert(table, getattr(rows, table.value), f"{number}/{table}")
    if done:
        await engine.insert_done(0, number, UNCOUNTED, f"done/{number}")


@settings(max_examples=20)
@given(whole=st.integers(0, 4), steps=st.integers(0, 4))
def test_the_watermark_names_the_flushes_in_the_rows(whole: int, steps: int) -> None:
    """However far the last flush has come, count and watermark agree."""

    async def run() -> UsageResult:
        engine = MemoryEngine()
        for number in range(whole):
            await step(engine, number, list(Table), done=True)
        await step(engine, whole, list(Table)[:steps], done=False)
        return await MemoryUsageReader(engine, PARTITIONS).usage(QUERY)

    result = asyncio.run(run())
    counted = whole + (steps > list(Table).index(Table.USAGE))
    assert result.watermark.flushes == ({0: counted - 1} if counted else {})
    assert {row.group["model"] for row in result.rows} == ({"a", "b"} if counted else set())


def test_memory_and_sql_give_the_same_result(flushes: StepByStepFlushes) -> None:
    """The same flushes in both stores give the same rows and watermark."""

    async def run() -> tuple[UsageResult, UsageResult]:
        engine = MemoryEngine()
        for number in range(3):
            await step(engine, number, list(Table), done=True)
        for table in Table:
            for index, block in enumerate(engine.blocks[table]):
                await flushes.insert(table, block, 0, f"{table}/{index}")
        for number in range(3):
            await flushes.claim(0, number)
            await flushes.done(0, number)
        return await MemoryUsageReader(engine, PARTITIONS).usage(QUERY), await flushes.usage.usage(QUERY)

    in_memory, in_sql = asyncio.run(run())
    assert in_memory == in_sql


def test_a_new_meter_reports_how_far_its_backfill_has_come() -> None:
    """The reader in memory reports what the SQL reader does."""
    young = make_meter("young", version=2)

    async def run() -> list[BackfillStatus]:
        engine, seen = MemoryEngine(), []
        reader = MemoryUsageReader(engine, 1)
        await engine.insert_claim(make_claim(0, 0, 0), "0")
        seen.append(await reader.backfill(young))
        await engine.insert_claim(make_claim(1, 1, 0, version=2), "1")
        seen.append(await reader.backfill(young))
        receipt = backfill_receipt(ACCOUNT, "young", 0, 0)
        rows = measure(plan([], [], number=0).events, [young], month=MONTH).usage
        await engine.insert(Table.USAGE, with_receipt(rows, receipt, month=MONTH), receipt)
        return [*seen, await reader.backfill(young)]

    assert asyncio.run(run()) == [
        BackfillStatus(done=False, chunks_done=0, chunks_total=None),
        BackfillStatus(done=False, chunks_done=0, chunks_total=1),
        BackfillStatus(done=True, chunks_done=1, chunks_total=1),
    ]
