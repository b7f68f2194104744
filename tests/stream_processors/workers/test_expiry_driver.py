"""The driver of expiry runs at the start and then at an interval, and survives any failure."""

import asyncio
from collections.abc import Sequence

import pytest

from schemas.errors import StoreFailed
from stream_processors.workers.expiry_driver import ExpiryDriver
from stream_processors.workers.policy import WorkerPolicy

pytestmark = pytest.mark.anyio


class FailingAtFirst:
    """Fails once, then finds a month to drop."""

    def __init__(self) -> None:
        self.steps = 0

    async def step(self) -> Sequence[int]:
        self.steps += 1
        if self.steps == 1:
            raise StoreFailed("no answer")
        return [202608]


async def test_it_runs_at_the_start_and_again_after_a_failure() -> None:
    """A failure only delays the expiry of a month."""
    steps, rests = FailingAtFirst(), []

    async def rest(seconds: float) -> None:
        rests.append(seconds)
        if len(rests) == 3:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await ExpiryDriver(steps, WorkerPolicy(expiry_seconds=7.0), rest=rest).run()
    assert (steps.steps, rests) == (3, [7.0, 7.0, 7.0])
