"""The keys a gateway is told of by others: through Redis, if there is one."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ingest_gateway.ingest.duplicate_lookup import NoKeys
from ingest_gateway.ports import KnownKeys
from schemas.errors import Misconfigured
from stream_processors.flushing.policy import WINDOW
from tallyhouse.runtime.context import Surroundings


@asynccontextmanager
async def open_known_keys(redis_url: str | None, around: Surroundings) -> AsyncIterator[KnownKeys]:
    """Redis need not be up when they are opened, or ever."""
    if redis_url is None:
        yield NoKeys()
        return
    try:
        from tallyhouse.cluster import redis_hints  # noqa: PLC0415 - an optional library
    except ImportError as error:
        raise Misconfigured(
            ["TALLYHOUSE_REDIS_URL is set, but the Redis client is not installed: pip install 'tallyhouse[redis]'"]
        ) from error
    client = redis_hints.connect(redis_url)
    keys = redis_hints.SharedKeys(client, WINDOW, timer=time.perf_counter, metrics=around.metrics, logger=around.logger)
    async with keys:
        yield keys
