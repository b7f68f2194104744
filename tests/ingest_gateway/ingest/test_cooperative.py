"""Long work lets others by: pieces, and what goes between two of them."""

import asyncio

import pytest

from ingest_gateway.ingest.cooperative import Serialized, Steps, run_at_once, yield_control
from ingest_gateway.ingest.parse import parse_body
from schemas.errors import Invalid
from tests.ingest_gateway.ingest.doubles import FakeLog, intake_over
from tests.ingest_gateway.ingest.examples import ACCOUNT, JSON, batch, event, post, raw_batch, raw_event

pytestmark = pytest.mark.anyio


def three_pieces(order: list[str]) -> Steps[str]:
    """Three pieces and an answer."""
    for piece in ("first", "second", "third"):
        order.append(piece)
        yield
    return "answer"


def broken() -> Steps[str]:
    yield
    raise Invalid("no")


def test_at_once() -> None:
    """All pieces, and what goes wrong in any."""
    order: list[str] = []
    assert run_at_once(three_pieces(order)) == "answer"
    assert order == ["first", "second", "third"]
    with pytest.raises(Invalid):
        run_at_once(broken())


class SecondsClock:
    """Stands still unless told how long something took."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def occupying(order: list[str], clock: SecondsClock, seconds: float) -> Steps[str]:
    """Two pieces that take so long. During the first someone comes who has three more turns to go."""
    loop = asyncio.get_running_loop()

    async def answered(result: asyncio.Future[str]) -> None:
        order.append(await result)

    def asked() -> None:
        result: asyncio.Future[str] = loop.create_future()
        tasks.append(loop.create_task(answered(result)))
        loop.call_soon(result.set_result, "another's answer")

    tasks: list[asyncio.Task[None]] = []
    order.append("first")
    loop.call_soon(asked)
    clock.now += seconds
    yield
    order.append("second")
    return "answer"


async def test_who_becomes_ready_during_a_piece_goes_before_the_next() -> None:
    """Even if it takes a thread's result, a task begun for it and a task that waits for that: a turn for each."""
    clock = SecondsClock()
    order: list[str] = []
    assert await Serialized(clock).run(occupying(order, clock, 0.001)) == "answer"
    assert order == ["first", "another's answer", "second"]


async def test_short_pieces_do_not_give_way_until_they_are_a_long_one() -> None:
    """Then the next one does, whosever it is."""
    clock = SecondsClock()
    works = Serialized(clock)
    order: list[str] = []
    await works.run(occupying(order, clock, 0.0003))
    assert order == ["first", "second"]
    order.clear()
    await works.run(occupying(order, clock, 0.0003))
    assert order == ["first", "another's answer", "another's answer", "second"]


async def test_nobody_gives_way_for_ever() -> None:
    """Others whose every turn is long have one of them."""
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


async def test_what_goes_wrong_in_a_piece_is_told() -> None:
    """And keeps nobody from going on."""
    works = Serialized()
    with pytest.raises(Invalid):
        await works.run(broken())
    assert await works.run(three_pieces([])) == "answer"


@pytest.mark.parametrize("form", [JSON, "application/x-ndjson"])
def test_a_body_is_read_in_pieces(form: str) -> None:
    """Whatever its form."""
    events = [raw_event(f"k{number}") for number in range(1_000)]
    body = raw_batch(*events) if form == JSON else b"\n".join(events)
    reading = parse_body(body, form, account=ACCOUNT, request_id="r", strict=False, backfill=False)
    assert sum(1 for _ in reading) >= 2


async def test_storing_a_group_lets_others_by() -> None:
    """Before judging it, before making frames of it, and before answering."""
    turns = 0
    async with intake_over(FakeLog()) as intake:
        storing = asyncio.create_task(intake.submit(post(batch(event()))))
        while not storing.done():
            await asyncio.sleep(0)
            turns += 1
    assert storing.result().accepted == 1
    assert turns >= 3 * 4
