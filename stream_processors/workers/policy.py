"""When a worker flushes, looks around, rests and gives up."""

import asyncio

import msgspec

from schemas.timestamps import SECOND


class WorkerPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Frozen: what state there is lives in the drivers."""

    flush_frames: int = 256
    """Frames waiting in a partition that start a flush at once."""
    flush_linger: int = 300 * SECOND // 1000
    """Microseconds the oldest waiting frame may wait for company."""
    poll_seconds: float = 0.5
    """How often an idle partition, and an idle backfill, ask for a new meter set."""
    report_seconds: float = 1.0
    """How often lag is measured."""
    stuck_attempts: int = 10
    """Failures in a row from which a partition is stuck: a person should look."""
    stuck_seconds: float = 60.0
    """The same by time, for failures that take long."""
    backfill_rest_ratio: float = 1.0
    """How long a backfill rests after a chunk, as a multiple of what the chunk took: traffic goes first."""
    expiry_seconds: float = 3600.0
    """How often seen keys are looked through for months that have expired."""
    stop_seconds: float = 10.0
    """How long a flush may go on after a stop was asked for; the next start redoes what was given up."""


async def exponential_backoff(attempt: int) -> None:
    """The pause before the given repetition (1, 2, …): short at first, half a minute at most."""
    await asyncio.sleep(min(0.05 * 2 ** min(attempt, 10), 30.0))
