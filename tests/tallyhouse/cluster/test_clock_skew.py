"""Clocks that are wrong, that jump, and that disagree."""

from collections.abc import Sequence

import pytest

from schemas.errors import Conflict, Overloaded
from schemas.timestamps import SECOND
from stream_processors.backends.sql.client import Row
from tallyhouse.cluster.clock_skew import VerifiedClock, believable, check_clock

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000 * SECOND


class ClockedStore:
    """A store with this clock."""

    def __init__(self, now: int) -> None:
        self._now = now

    async def rows(self, sql: str) -> Sequence[Row]:
        assert "now64" in sql
        return [(self._now,)]


@pytest.mark.parametrize(("seconds", "word"), [(61, "behind"), (-61, "ahead of")])
async def test_a_clock_far_from_the_stores_is_refused(seconds: int, word: str) -> None:
    """The error says how far, and in which direction."""
    with pytest.raises(Conflict, match=f"61 s {word} the usage store's"):
        await check_clock(ClockedStore(NOW + seconds * SECOND), lambda: NOW)


@pytest.mark.parametrize("seconds", [-59, 0, 59])
async def test_clocks_may_differ_by_less_than_a_minute(seconds: int) -> None:
    await check_clock(ClockedStore(NOW + seconds * SECOND), lambda: NOW)


class Machine:
    """A machine's two clocks."""

    def __init__(self) -> None:
        self.time, self.seconds = NOW, 0.0

    def clock(self) -> int:
        return self.time

    def pass_time(self, seconds: int) -> None:
        self.time += seconds * SECOND
        self.seconds += seconds


@pytest.mark.parametrize("jump", [61, -61, 21 * 86_400])
async def test_a_clock_that_jumps_stamps_nothing_until_it_is_right(jump: int) -> None:
    """The jump is noticed with the next stamp; a comparison that finds the clock wrong changes nothing."""
    machine = Machine()
    verified = VerifiedClock(machine.clock, lambda: machine.seconds)
    machine.pass_time(1_000)
    assert verified.now() == NOW + 1_000 * SECOND
    machine.time += jump * SECOND
    for _ in range(2):
        with pytest.raises(Overloaded, match=f"jumped by {jump} s"):
            verified.now()
    with pytest.raises(Conflict):
        await verified.compare(ClockedStore(NOW))
    with pytest.raises(Overloaded, match="the usage store's"):
        verified.now()
    machine.time -= jump * SECOND
    with pytest.raises(Overloaded):
        verified.now()
    await verified.compare(ClockedStore(machine.time))
    assert verified.now() == machine.time


async def test_a_machine_that_was_suspended_continues_after_a_comparison() -> None:
    """Its clock has jumped, and is right."""
    machine = Machine()
    verified = VerifiedClock(machine.clock, lambda: machine.seconds)
    machine.time += 3_600 * SECOND
    with pytest.raises(Overloaded):
        verified.now()
    await verified.compare(ClockedStore(machine.time))
    assert verified.now() == machine.time


def test_arrivals_of_a_right_clock_are_believed() -> None:
    """Two clocks within a minute of the store's are at most two minutes apart."""
    limit = NOW + 120 * SECOND
    assert believable([0, NOW, limit, limit + 1, NOW + 21 * 86_400 * SECOND], NOW) == [0, NOW, limit]
