"""Tunable intervals of a worker, and its backoff."""

import asyncio

import msgspec

from schemas.timestamps import SECOND


class WorkerPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The intervals and limits of a worker, the same for all of its drivers."""

    flush_frames: int = 256
    """Frames waiting in a partition that start a flush at once."""
    flush_linger: int = 300 * SECOND // 1000
    """Microseconds for which the oldest waiting frame may wait for more."""
    poll_seconds: float = 0.5
    """How often an idle partition and an idle backfill poll for a new meter set."""
    report_seconds: float = 1.0
    """How often lag is measured."""
    stuck_attempts: int = 10
    """Consecutive failures after which a partition is stuck."""
    stuck_seconds: float = 60.0
    """Seconds of failures after which a partition is stuck."""
    backfill_rest_ratio: float = 1.0
    """The rest after a chunk of a backfill, as a multiple of the time it took: flushes have priority."""
    expiry_seconds: float = 3600.0
    """How often expiry looks for expired months of seen keys."""
    stop_seconds: float = 10.0
    """How long a flush may continue after a stop; the next start redoes a cancelled one."""


async def exponential_backoff(attempt: int) -> None:
    """Sleeps before the given retry (1, 2, …): 0.1 seconds, doubled each time, 30 seconds at most."""
    await asyncio.sleep(min(0.05 * 2 ** min(attempt, 10), 30.0))
