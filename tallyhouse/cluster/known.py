"""The keys a gateway is told of by others: through Redis, if there is one."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ingest_gateway.ingest.duplicate_lookup import NoKeyHints
from ingest_gateway.ports import KeyHints
from schemas.errors import Misconfigured
from stream_processors.flushing.policy import DEDUPE_WINDOW
from tallyhouse.runtime.context import Runtime


@asynccontextmanager
async def open_known_keys(redis_url: str | None, runtime: Runtime) -> AsyncIterator[KeyHints]:
    """Redis need not be up when they are opened, or ever."""
    if redis_url is None:
        yield NoKeyHints()
        return
    try:
        from tallyhouse.cluster import redis_hints  # noqa: PLC0415 - an optional library
    except ImportError as error:
        raise Misconfigured(
            ["TALLYHOUSE_REDIS_URL is set, but the Redis client is not installed: pip install 'tallyhouse[redis]'"]
        ) from error
    client = redis_hints.connect(redis_url)
    keys = redis_hints.RedisHints(
        client, DEDUPE_WINDOW, timer=time.perf_counter, metrics=runtime.metrics, logger=runtime.logger
    )
    async with keys:
        yield keys
