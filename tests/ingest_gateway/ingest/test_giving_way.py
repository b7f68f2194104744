"""Long work lets others by: pieces, and what goes between two of them."""

import asyncio

import pytest

from ingest_gateway.ingest.giving_way import giving_way
from ingest_gateway.ingest.pieces import Pieces, at_once
from ingest_gateway.ingest.wire import parse_body
from schemas.errors import Invalid
from tests.ingest_gateway.ingest.examples import ACCOUNT, JSON, batch, event, post, raw_batch, raw_event
from tests.ingest_gateway.ingest.inside import TestLog, intake_over

pytestmark = pytest.mark.anyio


def told(said: list[str]) -> Pieces[str]:
    """Three pieces and an answer."""
    for piece in ("first", "second", "third"):
        said.append(piece)
        yield
    return "answer"


def broken() -> Pieces[str]:
    yield
    raise Invalid("no")


def test_at_once() -> None:
    """All pieces, and what goes wrong in any."""
    said: list[str] = []
    assert at_once(told(said)) == "answer"
    assert said == ["first", "second", "third"]
    with pytest.raises(Invalid):
        at_once(broken())


async def test_who_becomes_ready_during_a_piece_goes_before_the_next() -> None:
    """Even if it takes a thread's result, a task begun for it and a task that waits for that: a turn for each."""
    loop = asyncio.get_running_loop()
    said: list[str] = []

    async def answered(result: asyncio.Future[str]) -> None:
        said.append(await result)

    def asked() -> None:
        result: asyncio.Future[str] = loop.create_future()
        waiting.append(loop.create_task(answered(result)))
        loop.call_soon(result.set_result, "another's answer")

    def work() -> Pieces[str]:
        said.append("first")
        loop.call_soon(asked)
        yield
        said.append("second")
        return "answer"

    waiting: list[asyncio.Task[None]] = []
    assert await giving_way(work()) == "answer"
    assert said == ["first", "another's answer", "second"]
    assert waiting[0].done()


async def test_what_goes_wrong_in_a_piece_is_told() -> None:
    with pytest.raises(Invalid):
        await giving_way(broken())


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
    async with intake_over(TestLog()) as intake:
        storing = asyncio.create_task(intake.submit(post(batch(event()))))
        while not storing.done():
            await asyncio.sleep(0)
            turns += 1
    assert storing.result().accepted == 1
    assert turns >= 3 * 4
