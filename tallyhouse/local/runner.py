"""`tallyhouse cluster`: starts everything, prints the welcome, runs until a signal, and stops in order."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from tallyhouse.local.background_program import Notify
from tallyhouse.local.cluster import LocalCluster, LocalClusterOptions, open_local_cluster
from tallyhouse.runtime.clock import now
from tallyhouse.welcome import FirstStart, LaterStart, welcome


def cluster_welcome(cluster: LocalCluster, now: int) -> str:
    """Returns the addresses of everything; at the first start also the first key and commands to copy."""
    settings, folder = cluster.settings, cluster.folder
    places = {
        "gateways": " ".join(cluster.gateway_urls),
        "workers": " ".join(f"{url}/metrics" for url in cluster.worker_urls),
        "Kafka": f"{','.join(settings.kafka_brokers)}, topic {settings.kafka_topic}",
        "ClickHouse": f"{','.join(settings.clickhouse_url)}, database {settings.clickhouse_database}",
        "ledger": cluster.ledger,
        "logs": folder.logs,
    }
    url = cluster.gateway_urls[0]
    headline = "\n".join(
        [
            f"\nA cluster is counting at {url}, data in {folder.path}\n",
            *(f"  {what:<10}  {where}" for what, where in places.items()),
            "",
        ]
    )
    is_configured = settings.bootstrap_api_key is not None
    place = "the one in TALLYHOUSE_BOOTSTRAP_API_KEY" if is_configured else f"kept in {folder.key_file.absolute()}"
    start = FirstStart(cluster.key) if cluster.created_key else LaterStart(place)
    text = welcome(headline, url, folder.key_file, start, now)
    return f"{text}\nCtrl-C stops everything; the next start continues from there."


def run_cluster(options: LocalClusterOptions, environ: Mapping[str, str], notify: Notify) -> int:
    """Runs a cluster until a signal; returns the exit code."""

    async def keep() -> int:
        async with open_local_cluster(options, environ, notify) as cluster:
            notify(cluster_welcome(cluster, now()))
            return await cluster.wait()

    return asyncio.run(run_until_signal(keep(), notify))


async def run_until_signal(work: Coroutine[Any, Any, int], notify: Notify, *, stopped: int = 0) -> int:
    """The exit code of `work`; `stopped` after Ctrl-C or SIGTERM, which cancels `work` and waits for its end."""
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stopper(task, notify))
    try:
        return await task
    except asyncio.CancelledError:
        notify("everything has stopped")
        return stopped


def _stopper(task: asyncio.Task[int], notify: Notify) -> Callable[[], None]:
    def stop() -> None:
        # A second signal must not cut the shutdown short: processes would be left running.
        if not task.cancelling():
            notify("stopping: gateways first, then workers, then the backing services")
            task.cancel()

    return stop
