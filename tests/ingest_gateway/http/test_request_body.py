"""Bodies that arrive in pieces, slowly, or not to their end."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from ingest_gateway.http.errors import ClientDisconnected, Headers
from ingest_gateway.http.memory_budget import MemoryBudget
from ingest_gateway.http.request_body import read_body
from schemas.errors import Overloaded, RequestTimeout, TooLarge
from schemas.metrics import NullMetrics

pytestmark = pytest.mark.anyio


def sender(*pieces: bytes | None) -> Callable[[], Awaitable[Message]]:
    """Sends the pieces; None disconnects."""
    waiting = list(pieces)

    async def receive() -> Message:
        piece = waiting.pop(0)
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": bool(waiting)}

    return receive


async def read(
    receive: Callable[[], Awaitable[Message]], limit: int = 100, budget: int = 10**6, **header: str
) -> bytes:
    names = {name.replace("_", "-").encode(): value.encode() for name, value in header.items()}
    headers: Headers = []
    with MemoryBudget(budget, NullMetrics()).share() as share:
        return await read_body(receive, names, headers, share, limit=limit, seconds=0.05)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=8))
def test_pieces_are_joined_up_to_the_limit(pieces: list[bytes]) -> None:
    """However a body is cut, it is read whole, or refused exactly when it is too large."""
    whole = b"".join(pieces)
    if len(whole) > 100:
        with pytest.raises(TooLarge):
            asyncio.run(read(sender(*pieces)))
    else:
        assert asyncio.run(read(sender(*pieces))) == whole


@pytest.mark.parametrize("pieces", [(None,), (b"half", None)])
async def test_a_disconnect_ends_the_body(pieces: tuple[bytes | None, ...]) -> None:
    """Half a body is no body."""
    with pytest.raises(ClientDisconnected):
        await read(sender(*pieces))


async def test_a_slow_body_times_out() -> None:
    """A body that stops arriving is refused."""
    first = sender(b"half", b"never comes")
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            await asyncio.Event().wait()
        sent = True
        return await first()

    with pytest.raises(RequestTimeout):
        await read(receive)


async def test_memory_is_bounded_while_reading() -> None:
    """Reading ends at a piece beyond the budget, whatever length was announced."""
    shared = MemoryBudget(100, NullMetrics())
    shared.reserve(60)
    with pytest.raises(Overloaded), shared.share() as share:
        await read_body(sender(b"x" * 30, b"x" * 30), {}, [], share, limit=100, seconds=1)
    assert shared._held == 60


@pytest.mark.parametrize("announced", ["101", "99999999999999999999"])
async def test_a_body_announced_too_large_is_not_read(announced: str) -> None:
    """Not a single byte of it is received."""
    with pytest.raises(TooLarge):
        await read(sender(), content_length=announced)


@pytest.mark.parametrize("announced", ["", "-1", "x", "5"])
async def test_a_wrong_announcement_does_not_matter(announced: str) -> None:
    """Only the bytes that arrive count."""
    assert await read(sender(b"body"), content_length=announced) == b"body"
