"""Mutual exclusion across threads, event loops and cancelled callers."""

import asyncio
import threading

import pytest

from stream_processors.backends.store.keyed_locks import KeyedLocks

pytestmark = pytest.mark.anyio


class Visitors:
    """Counts the visits, and how many are inside at a time."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.visits = 0

    async def visit(self, sections: KeyedLocks[int], section: int | str) -> None:
        async with sections.hold(section):
            self.inside += 1
            self.most = max(self.most, self.inside)
            await asyncio.sleep(0)
            self.visits += 1
            self.inside -= 1


async def test_one_caller_at_a_time_whatever_the_loop() -> None:
    """Callers on several threads, each with its own event loop, take turns."""
    sections: KeyedLocks[int] = KeyedLocks()
    visitors = Visitors()

    async def many() -> None:
        await asyncio.gather(*(visitors.visit(sections, 0) for _ in range(20)))

    rivals = [threading.Thread(target=asyncio.run, args=(many(),)) for _ in range(4)]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        await asyncio.to_thread(rival.join)
    assert (visitors.visits, visitors.most) == (80, 1)


async def test_sections_do_not_wait_for_each_other() -> None:
    """The holder of one section may enter another."""
    sections: KeyedLocks[int] = KeyedLocks()
    visitors = Visitors()
    async with asyncio.timeout(10), sections.hold(0), sections.hold("backfill/a/b/0/0"):
        await visitors.visit(sections, 1)
    assert visitors.visits == 1


async def test_a_cancelled_waiter_leaves_the_queue() -> None:
    """The waiters behind it get their turn."""
    sections: KeyedLocks[int] = KeyedLocks()
    visitors = Visitors()
    async with sections.hold(0):
        waiters = [asyncio.create_task(visitors.visit(sections, 0)) for _ in range(3)]
        await asyncio.sleep(0)
        waiters[1].cancel()
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*waiters, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), asyncio.CancelledError, type(None)]
    assert visitors.visits == 2


async def test_a_waiter_cancelled_as_its_turn_comes_passes_it_on() -> None:
    """The section does not stay locked."""
    sections: KeyedLocks[int] = KeyedLocks()
    visitors = Visitors()
    async with sections.hold(0):
        waiter = asyncio.create_task(visitors.visit(sections, 0))
        await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    await asyncio.wait_for(visitors.visit(sections, 0), 10)
    assert visitors.visits == 1


async def test_an_exception_inside_releases_the_section() -> None:
    """The next caller may enter."""
    sections: KeyedLocks[int] = KeyedLocks()
    with pytest.raises(ZeroDivisionError):
        async with sections.hold(0):
            raise ZeroDivisionError
    async with sections.hold(0):
        pass


async def test_holders_share_a_memory_until_one_of_them_fails() -> None:
    """Each section has its own; an error, or a cancellation, empties it."""
    sections: KeyedLocks[int] = KeyedLocks()
    async with sections.hold(0) as memory, sections.hold(1) as other:
        memory.known, other.known = 5, 6
    with pytest.raises(ZeroDivisionError):
        async with sections.hold(1):
            raise ZeroDivisionError
    async with sections.hold(0) as memory, sections.hold(1) as other:
        assert (memory.known, other.known) == (5, None)
