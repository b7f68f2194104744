"""Long work runs in steps, and ready tasks run between them."""

import asyncio

import pytest

from ingest_gateway.ingest import intake as intake_module
from ingest_gateway.ingest.cooperative import Serialized, Steps, run_at_once, yield_control
from ingest_gateway.ingest.parse import parse_body
from schemas.errors import Invalid
from tests.ingest_gateway.ingest.doubles import FakeLog, intake_over
from tests.ingest_gateway.ingest.examples import ACCOUNT, JSON, batch, event, post, raw_batch, raw_event

pytestmark = pytest.mark.anyio


def three_steps(order: list[str]) -> Steps[str]:
    for step in ("first", "second", "third"):
        order.append(step)
        yield
    return "result"


def broken() -> Steps[str]:
    yield
    raise Invalid("no")


def test_run_at_once_runs_all_steps_and_raises_their_errors() -> None:
    order: list[str] = []
    assert run_at_once(three_steps(order)) == "result"
    assert order == ["first", "second", "third"]
    with pytest.raises(Invalid):
        run_at_once(broken())


class SecondsClock:
    """A timer that the tests move."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def occupying(order: list[str], clock: SecondsClock, seconds: float) -> Steps[str]:
    """Two steps of this length. During the first, a task starts that needs three more turns of the event loop."""
    loop = asyncio.get_running_loop()

    async def await_result(result: asyncio.Future[str]) -> None:
        order.append(await result)

    def start_task() -> None:
        result: asyncio.Future[str] = loop.create_future()
        tasks.append(loop.create_task(await_result(result)))
        loop.call_soon(result.set_result, "another task")

    tasks: list[asyncio.Task[None]] = []
    order.append("first")
    loop.call_soon(start_task)
    clock.now += seconds
    yield
    order.append("second")
    return "result"


async def test_a_task_that_becomes_ready_during_a_step_finishes_before_the_next() -> None:
    """Even if it needs a turn for a callback, one for a new task, and one for the task's result."""
    clock = SecondsClock()
    order: list[str] = []
    assert await Serialized(clock).run(occupying(order, clock, 0.001)) == "result"
    assert order == ["first", "another task", "second"]


async def test_short_steps_yield_only_once_they_add_up() -> None:
    """Across several pieces of work."""
    clock = SecondsClock()
    serialized = Serialized(clock)
    order: list[str] = []
    await serialized.run(occupying(order, clock, 0.0003))
    assert order == ["first", "second"]
    order.clear()
    await serialized.run(occupying(order, clock, 0.0003))
    assert order == ["first", "another task", "another task", "second"]


async def test_yielding_ends_after_one_long_turn() -> None:
    """Other tasks whose turns are long cannot stall the work."""
    clock = SecondsClock()
    turns = 0

    def busy() -> None:
        nonlocal turns
        turns += 1
        clock.now += 0.02
        loop.call_soon(busy)

    loop = asyncio.get_running_loop()
    loop.call_soon(busy)
    await yield_control(clock)
    assert turns == 1


async def test_an_error_in_a_step_is_raised_and_later_work_runs() -> None:
    serialized = Serialized()
    with pytest.raises(Invalid):
        await serialized.run(broken())
    assert await serialized.run(three_steps([])) == "result"


@pytest.mark.parametrize("form", [JSON, "application/x-ndjson"])
def test_a_body_of_any_form_is_parsed_in_steps(form: str) -> None:
    events = [raw_event(f"k{number}") for number in range(1_000)]
    body = raw_batch(*events) if form == JSON else b"\n".join(events)
    reading = parse_body(body, form, account=ACCOUNT, request_id="r", strict=False, backfill=False)
    assert sum(1 for _ in reading) >= 2


async def test_storing_a_group_yields_control(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before judging the group, before making its frames, and before remembering its keys."""
    yields: list[int] = []

    async def yield_and_count() -> None:
        yields.append(log.appends)
        await yield_control()

    monkeypatch.setattr(intake_module, "yield_control", yield_and_count)
    log = FakeLog()
    async with intake_over(log) as intake:
        assert (await intake.submit(post(batch(event())))).accepted == 1
    assert yields[:3] == [0, 0, 1]
