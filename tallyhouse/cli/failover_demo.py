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
from tallyhouse.cli.demo_load import PATIENCE, DemoLoad
from tallyhouse.cli.proofs import print_proofs
from tallyhouse.cli.sharing import is_shared, who_has_what
from tallyhouse.local.cluster import LocalCluster, Plan, open_local_cluster

_LOOK_SECONDS = 0.25
_VICTIM = "worker 1"
_SETTINGS = {"PORT": "0", "METRICS_PORT": "0", "PARTITIONS": "6", "API_RATE_LIMIT": "0"}


async def tell_story(console: Console, folder: Path, environ: Mapping[str, str], events: int, seconds: float) -> int:
    """The exit code: 0 where all totals are exact."""

    def tell(line: str) -> None:
        console.print(f"  {line}", style="dim", markup=False)

    console.print(
        "[bold]A cluster starts on this machine:[/] Kafka, a usage store, a ledger, two workers, two gateways"
    )
    told = {**environ, **{f"TALLYHOUSE_{name}": value for name, value in _SETTINGS.items()}}
    async with open_local_cluster(Plan(folder=folder), told, tell) as cluster:
        load = DemoLoad(cluster.gateway_urls, cluster.key, events, seconds)
        await Story(console, cluster, load, events).run()
        proofs = await load.prove()
        print_proofs(console, proofs)
    if any(proof.differences for proof in proofs):
        console.print("[bold red]Some totals are not what was sent.[/]")
        return 1
    console.print("[bold green]Every total is exactly what was sent: nothing lost, nothing counted twice.[/]")
    return 0


class Story:
    """Runs once, on a cluster that is up."""

    def __init__(self, console: Console, cluster: LocalCluster, load: DemoLoad, events: int) -> None:
        self._console = console
        self._cluster = cluster
        self._load = load
        self._events = events
        self._workers = {f"worker {number}": url for number, url in enumerate(cluster.worker_urls, 1)}
        self._others = [name for name in self._workers if name != _VICTIM]
        self._began = time.monotonic()

    async def run(self) -> None:
        """Until all is sent and all workers are back."""
        await self._load.prepare()
        await self._until_shared_by(list(self._workers))
        self._say(f"{self._events:,} events go to {len(self._cluster.gateway_urls)} gateways, one in a hundred twice")
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            showing = asyncio.create_task(self._show(live))
            try:
                await asyncio.gather(self._send(), self._lose_a_worker())
            finally:
                showing.cancel()
        self._say("waiting until the last event is counted, then comparing every value with what was sent")

    async def _send(self) -> None:
        await self._load.send()
        self._say(f"all {self._events:,} events are acknowledged; {self._load.retries} posts had to be sent again")

    async def _lose_a_worker(self) -> None:
        await self._until("a third of the events", self._is_under_way)
        victim = self._cluster.workers.kept(_VICTIM)
        victim.hold()
        pid = self._cluster.workers.pid(_VICTIM)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        self._say(f"[bold red]{_VICTIM} (process {pid}) is killed with -9[/], {self._load.acked:,} events in")
        await self._until_shared_by(self._others)
        self._say(f"its partitions are taken over; {_VICTIM} is let back in")
        victim.release()
        await self._until_shared_by(list(self._workers))

    async def _is_under_way(self) -> bool:
        return self._load.acked >= self._events / 3

    async def _until_shared_by(self, names: Sequence[str]) -> None:
        async def shared() -> bool:
            return is_shared(await who_has_what(self._workers), self._cluster.settings.partitions, names)

        await self._until(f"the partitions to be shared by {' and '.join(names)}", shared)
        for name, numbers in (await who_has_what(self._workers)).items():
            has = f"has partitions {', '.join(map(str, sorted(numbers)))}" if numbers else "has none"
            self._say(f"[cyan]{name}[/] {has}")

    async def _until(self, what: str, condition: Callable[[], Awaitable[bool]]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not await condition():
            if time.monotonic() > deadline:
                raise Overloaded(f"waited {PATIENCE:.0f} s in vain for {what}")
            await asyncio.sleep(_LOOK_SECONDS)

    async def _show(self, live: Live) -> None:
        while True:
            live.update(f"{self._elapsed}  {self._load.acked:>9,} of {self._events:,} acknowledged", refresh=True)
            await asyncio.sleep(_LOOK_SECONDS)

    def _say(self, words: str) -> None:
        self._console.print(f"{self._elapsed}  {words}")

    @property
    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._began:6.1f} s"
