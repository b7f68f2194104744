"""The start of a cluster process: reads settings, builds the logger, retries until the servers answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from schemas.errors import Busy, StoreFailed
from schemas.logger import Logger
from tallyhouse.runtime.clock import now
from tallyhouse.runtime.cluster_settings import ClusterSettings
from tallyhouse.runtime.environment import process_environment, read_cluster_settings
from tallyhouse.runtime.prometheus import PrometheusMetrics
from tallyhouse.runtime.startup import Runtime, prepare_process


def start_process() -> tuple[ClusterSettings, Runtime]:
    """The settings, and the runtime built from them. Raises Misconfigured with all errors."""
    settings = read_cluster_settings(process_environment())
    return settings, Runtime(clock=now, logger=prepare_process(settings), metrics=PrometheusMetrics())


_POLL_SECONDS = 0.5

_Opened = TypeVar("_Opened")


async def retry_until_available(seconds: float, opening: Callable[[], Awaitable[_Opened]], logger: Logger) -> _Opened:
    """The result of `opening`, retried every 0.5 s while it raises StoreFailed or Busy, and for `seconds` at most.

    Raises the last error when the time is over.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        try:
            return await opening()
        except (StoreFailed, Busy) as error:
            if loop.time() >= deadline:
                raise
            logger.info("waiting for a server that this process needs", reason=str(error))
        await asyncio.sleep(_POLL_SECONDS)
