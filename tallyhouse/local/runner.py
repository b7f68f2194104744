"""`tallyhouse cluster`: everything started, kept running until told to stop, and stopped in order."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from tallyhouse.cluster.startup import now
from tallyhouse.local.cluster import Plan, open_local_cluster
from tallyhouse.local.kafka_jars import Tell
from tallyhouse.local.welcome import welcome


def run_cluster(plan: Plan, environ: Mapping[str, str], tell: Tell) -> int:
    """The exit code, once stopped."""

    async def keep() -> int:
        async with open_local_cluster(plan, environ, tell) as cluster:
            tell(welcome(cluster, now()))
            return await cluster.ended()

    return asyncio.run(until_told_to_stop(keep(), tell))


async def until_told_to_stop(work: Coroutine[Any, Any, int], tell: Tell, *, stopped: int = 0) -> int:
    """Its exit code, or `stopped` where Ctrl-C or SIGTERM ended it. What it has open it closes even so."""
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stopper(task, tell))
    try:
        return await task
    except asyncio.CancelledError:
        tell("everything has stopped")
        return stopped


def _stopper(task: asyncio.Task[int], tell: Tell) -> Callable[[], None]:
    def stop() -> None:
        # A second signal would cut the closing short, and leave something running.
        if not task.cancelling():
            tell("stopping: gateways first, then workers, then what they need")
            task.cancel()

    return stop
