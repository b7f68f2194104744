"""A check reports what is known in time, and names every part that is missing."""

import asyncio
import threading

from schemas.errors import StoreFailed
from tallyhouse.cluster.preflight import run_probes


def test_a_part_that_hangs_holds_up_neither_the_others_nor_the_answer() -> None:
    """Whether it blocks its thread or its event loop."""
    release = threading.Event()

    async def passes() -> str:
        return "answers"

    async def fails() -> str:
        raise StoreFailed("it refuses")

    async def blocks() -> str:
        release.wait()
        return "late"

    async def waits() -> str:
        await asyncio.to_thread(release.wait)
        return "late"

    probes = {"log": passes, "store": blocks, "ledger": waits, "other": fails}
    result = run_probes(probes, 1.0)
    assert result.passed == ["log: answers"]
    assert result.errors == [
        "store: no answer within 1 s",
        "ledger: no answer within 1 s",
        "other: it refuses",
    ]
    release.set()
