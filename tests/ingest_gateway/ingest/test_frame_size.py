"""Every frame of the gateway has a bounded size in memory, whatever part of its events is large."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from ingest_gateway.ingest.intake_queue import IntakePolicy
from schemas.event import MAX_BODY_BYTES, MAX_NAME_LENGTH
from schemas.frame import raw_size
from tests.ingest_gateway.ingest.doubles import FakeLog, intake_over
from tests.ingest_gateway.ingest.examples import event, post

RAW_BYTES = 18_000_000
"""One group of requests, and the other columns of its rows."""


def long_names(number: int) -> dict[str, Any]:
    """An event with names of the maximum length, in characters of four bytes."""
    return event(
        f"{number:05}" + "\N{PILE OF POO}" * (MAX_NAME_LENGTH - 5), customer_id="\N{PILE OF POO}" * MAX_NAME_LENGTH
    )


def large_properties(number: int) -> dict[str, Any]:
    return event(f"{number}", properties={"text": "x" * 16_000})


@pytest.mark.parametrize("make", [long_names, large_properties])
def test_a_frame_stays_small_however_well_it_compresses(make: Callable[[int], dict[str, Any]]) -> None:
    """Two full bodies for one partition, stored together."""

    async def story() -> list[int]:
        log = FakeLog()
        async with asyncio.timeout(60), intake_over(log, policy=IntakePolicy(partitions=1)) as intake:
            requests = [intake.submit(post(full_body(make, first))) for first in (0, 50_000)]
            outcomes = await asyncio.gather(*requests)
        assert all(outcome.accepted and not outcome.rejections for outcome in outcomes)
        return [raw_size(frame.payload) for frame in log.frames]

    sizes = asyncio.run(story())
    assert max(sizes) <= RAW_BYTES
    assert sum(sizes) > MAX_BODY_BYTES


def full_body(make: Callable[[int], dict[str, Any]], first: int) -> bytes:
    """As many events as fit into eight of the ten megabytes."""
    one = len(json.dumps(make(first), ensure_ascii=False).encode())
    events = [make(first + number) for number in range(7_900_000 // (one + 2))]
    return json.dumps({"events": events}, ensure_ascii=False).encode()
