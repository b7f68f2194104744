"""The demo, step by step: load on all gateways, a worker killed and back, the proof."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.live import Live

from schemas.errors import Overloaded
from tallyhouse.cli.demo_load import TIMEOUT_SECONDS, DemoLoad
from tallyhouse.cli.proofs import print_proofs
from tallyhouse.cli.sharing import is_shared, partition_owners
from tallyhouse.local.cluster import LocalCluster, LocalClusterOptions, open_local_cluster

_POLL_SECONDS = 0.25
_KILLED_WORKER = "worker 1"
_SETTINGS = {"PORT": "0", "METRICS_PORT": "0", "PARTITIONS": "6", "API_RATE_LIMIT": "0"}


async def run_failover_demo(
    console: Console, folder: Path, environ: Mapping[str, str], events: int, seconds: float
) -> int:
    """The exit code: 0 where all totals are exact."""

    def notify(line: str) -> None:
        console.print(f"  {line}", style="dim", markup=False)

    console.print(
        "[bold]A cluster starts on this machine:[/] Kafka, a usage store, a ledger, two workers, two gateways"
    )
    environment = {**environ, **{f"TALLYHOUSE_{name}": value for name, value in _SETTINGS.items()}}
    async with open_local_cluster(LocalClusterOptions(folder=folder), environment, notify) as cluster:
        load = DemoLoad(cluster.gateway_urls, cluster.key, events, seconds)
        await FailoverDemo(console, cluster, load, events).run()
        proofs = await load.prove()
        print_proofs(console, proofs)
    if any(proof.differences for proof in proofs):
        console.print("[bold red]Some totals are not what was sent.[/]")
        return 1
    console.print("[bold green]Every total is exactly what was sent: nothing lost, nothing counted twice.[/]")
    return 0


class FailoverDemo:
    """Runs once, on a cluster that is up."""

    def __init__(self, console: Console, cluster: LocalCluster, load: DemoLoad, events: int) -> None:
        self._console = console
        self._cluster = cluster
        self._load = load
        self._events = events
        self._workers = {f"worker {number}": url for number, url in enumerate(cluster.worker_urls, 1)}
        self._others = [name for name in self._workers if name != _KILLED_WORKER]
        self._began = time.monotonic()

    async def run(self) -> None:
        """Until all is sent and all workers are back."""
        await self._load.prepare()
        await self._until_shared_by(list(self._workers))
        self._say(f"{self._events:,} events go to {len(self._cluster.gateway_urls)} gateways, one in a hundred twice")
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            showing = asyncio.create_task(self._show(live))
            try:
                await asyncio.gather(self._send(), self._kill_and_restore_worker())
            finally:
                showing.cancel()
        self._say("waiting until the last event is counted, then comparing every value with what was sent")

    async def _send(self) -> None:
        await self._load.send()
        self._say(f"all {self._events:,} events are acknowledged; {self._load.retries} posts had to be sent again")

    async def _kill_and_restore_worker(self) -> None:
        await self._until("a third of the events", self._is_under_way)
        victim = self._cluster.workers.supervised(_KILLED_WORKER)
        victim.suspend_restarts()
        pid = self._cluster.workers.pid(_KILLED_WORKER)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        self._say(f"[bold red]{_KILLED_WORKER} (process {pid}) is killed with -9[/], {self._load.acked:,} events in")
        await self._until_shared_by(self._others)
        self._say(f"its partitions are taken over; {_KILLED_WORKER} is let back in")
        victim.resume_restarts()
        await self._until_shared_by(list(self._workers))

    async def _is_under_way(self) -> bool:
        return self._load.acked >= self._events / 3

    async def _until_shared_by(self, names: Sequence[str]) -> None:
        async def shared() -> bool:
            return is_shared(await partition_owners(self._workers), self._cluster.settings.partitions, names)

        await self._until(f"the partitions to be shared by {' and '.join(names)}", shared)
        for name, numbers in (await partition_owners(self._workers)).items():
            has = f"has partitions {', '.join(map(str, sorted(numbers)))}" if numbers else "has none"
            self._say(f"[cyan]{name}[/] {has}")

    async def _until(self, what: str, condition: Callable[[], Awaitable[bool]]) -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not await condition():
            if time.monotonic() > deadline:
                raise Overloaded(f"waited {TIMEOUT_SECONDS:.0f} s in vain for {what}")
            await asyncio.sleep(_POLL_SECONDS)

    async def _show(self, live: Live) -> None:
        while True:
            live.update(f"{self._elapsed}  {self._load.acked:>9,} of {self._events:,} acknowledged", refresh=True)
            await asyncio.sleep(_POLL_SECONDS)

    def _say(self, words: str) -> None:
        self._console.print(f"{self._elapsed}  {words}")

    @property
    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._began:6.1f} s"
