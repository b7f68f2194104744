"""Exclusive sections across threads, event loops and cancelled callers."""

import asyncio
import threading

import pytest

from stream_processors.backends.store.keyed_locks import KeyedLocks

pytestmark = pytest.mark.anyio


class Witness:
    """Counts who is inside."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.visits = 0

    async def visit(self, sections: KeyedLocks, section: int | str) -> None:
        async with sections.hold(section):
            self.inside += 1
            self.most = max(self.most, self.inside)
            await asyncio.sleep(0)
            self.visits += 1
            self.inside -= 1


async def test_one_at_a_time_whatever_the_loop() -> None:
    """Callers of several threads, each with its own event loop, take turns."""
    sections, witness = KeyedLocks(), Witness()

    async def many() -> None:
        await asyncio.gather(*(witness.visit(sections, 0) for _ in range(20)))

    rivals = [threading.Thread(target=asyncio.run, args=(many(),)) for _ in range(4)]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        await asyncio.to_thread(rival.join)
    assert (witness.visits, witness.most) == (80, 1)


async def test_sections_do_not_wait_for_each_other() -> None:
    """Who holds one partition may enter another."""
    sections = KeyedLocks()
    witness = Witness()
    async with asyncio.timeout(10), sections.hold(0), sections.hold("backfill/a/b/0/0"):
        await witness.visit(sections, 1)
    assert witness.visits == 1


async def test_a_cancelled_waiter_leaves_the_queue() -> None:
    """Those behind it get their turn."""
    sections, witness = KeyedLocks(), Witness()
    async with sections.hold(0):
        waiters = [asyncio.create_task(witness.visit(sections, 0)) for _ in range(3)]
        await asyncio.sleep(0)
        waiters[1].cancel()
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*waiters, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), asyncio.CancelledError, type(None)]
    assert witness.visits == 2


async def test_a_waiter_cancelled_as_its_turn_comes_passes_it_on() -> None:
    """The section must not stay locked for ever."""
    sections, witness = KeyedLocks(), Witness()
    async with sections.hold(0):
        waiter = asyncio.create_task(witness.visit(sections, 0))
        await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    await asyncio.wait_for(witness.visit(sections, 0), 10)
    assert witness.visits == 1


async def test_a_failure_inside_leaves_the_section() -> None:
    """An exception is no reason to hold everyone up."""
    sections = KeyedLocks()
    with pytest.raises(ZeroDivisionError):
        async with sections.hold(0):
            raise ZeroDivisionError
    async with sections.hold(0):
        pass
