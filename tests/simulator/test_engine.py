"""Without faults the faulty engine behaves as the store in memory."""

import random
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from typing import Any

import pyarrow as pa
import pytest

from schemas.flush import UNCOUNTED, Claim, SeenRows, Table
from schemas.window import DEDUPE_WINDOW
from stream_processors.backends.store.engine import GuardedEngine
from stream_processors.backends.store.memory import MemoryEngine
from stream_processors.core.dedupe import KeyLookupResult
from stream_processors.core.flush_plan import assemble, plan_flush
from tests.simulator.engine import FaultyEngine
from tests.simulator.faults import CallOutcome
from tests.simulator.scenario import PARTITION, meter_set
from tests.simulator.scenarios import TWO_FRAMES
from tests.stream_processors.core.planned_rows import PlannedRows, planned_rows

NUMBERS = range(3)
NOTHING = SeenRows([], [], [])

Step = Callable[[GuardedEngine], Coroutine[Any, Any, Any]]


def claim_of(number: int, version: int) -> Claim:
    return Claim(partition=PARTITION, number=number, first=number, last=number, version=version)


def planned(number: int) -> PlannedRows:
    events = assemble(TWO_FRAMES.frames()[number % 2 : number % 2 + 1])
    known = KeyLookupResult(NOTHING, NOTHING)
    return planned_rows(plan_flush(claim_of(number, 1), events, known, meter_set(1), DEDUPE_WINDOW))


PLANNED = {number: planned(number) for number in NUMBERS}
KEYS = [key for rows in PLANNED.values() for key in rows.seen["key_hash"].to_pylist()]


async def gathered(chunks: AsyncIterator[Any]) -> list[Any]:
    return sorted([part for chunk in [chunk async for chunk in chunks] for part in listed(chunk)], key=str)


def listed(chunk: Any) -> list[Any]:
    return list(chunk.to_pylist() if isinstance(chunk, pa.Table) else chunk.tolist())


def drawn_step(draw: random.Random) -> Step:
    """One call, for any engine."""
    number, table, version = draw.choice(NUMBERS), draw.choice(list(Table)), draw.choice((1, 2))
    token = f"token {draw.randrange(6)}"
    rows = getattr(PLANNED[number], table.value) if table is not Table.REJECTS else PLANNED[0].rejects
    if table is Table.REJECTS:
        number = 0
    steps: list[Step] = [
        lambda engine: engine.insert_claim(claim_of(number, version), token),
        lambda engine: engine.insert_claim_guarded(claim_of(number, version), token),
        lambda engine: engine.insert_done(PARTITION, number, UNCOUNTED, token),
        lambda engine: engine.insert_done_guarded(PARTITION, number, UNCOUNTED, token),
        lambda engine: engine.insert(table, rows, token),
        lambda engine: engine.insert_guarded(table, PARTITION, number, 0, rows, token),
        lambda engine: engine.highest(PARTITION),
        lambda engine: engine.claims_from(PARTITION, number),
        lambda engine: engine.is_done(PARTITION, number),
        lambda engine: engine.flush_state(table, PARTITION, number),
        lambda engine: engine.activation(PARTITION, version),
        lambda engine: engine.find(PARTITION, number, KEYS),
        lambda engine: engine.find_events(PARTITION, number, KEYS),
        lambda engine: gathered(engine.all_hashes(PARTITION, number)),
        lambda engine: gathered(engine.read_events(PARTITION, 0, number)),
    ]
    return draw.choice(steps)


def answer(engine: FaultyEngine | MemoryEngine, step: Step) -> object:
    """Runs one call to its end without a fault."""
    call = step(engine)
    outcome: CallOutcome | None = None
    try:
        while True:
            call.send(outcome)
            outcome = CallOutcome.OK
            assert isinstance(engine, FaultyEngine), "the store in memory never waits"
            for statement in engine.statements.running:
                engine.statements.advance(statement)
    except StopIteration as end:
        return comparable(end.value)


def comparable(value: object) -> object:
    if isinstance(value, SeenRows):
        rows = zip(value.key_hashes, value.body_hashes, value.arrivals, strict=True)
        return {key: (body, arrival) for key, body, arrival in rows}
    return list(value) if isinstance(value, tuple) else value


def learn_nothing(reply: Hashable) -> None:
    """No search needs the replies."""


@pytest.mark.parametrize("seed", range(30))
def test_without_faults_it_is_the_store_in_memory(seed: int) -> None:
    """For any calls in any order, both return the same results."""
    draw = random.Random(seed)
    faulty, memory = FaultyEngine(learn_nothing, lambda: 0), MemoryEngine()
    for _ in range(60):
        step = drawn_step(draw)
        assert answer(faulty, step) == answer(memory, step)
