"""The failover demo: loads all gateways, kills and restarts a worker, and proves every total."""

import asyncio
import os
import re
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from rich.console import Console
from rich.live import Live

from schemas.errors import Overloaded
from schemas.ids import base36
from tallyhouse.cli.client import ApiClient
from tallyhouse.cli.load_run import print_proofs
from tallyhouse.load.client import DeliveryOptions, LoadClient
from tallyhouse.load.expected_usage import ExpectedUsage
from tallyhouse.load.post_generator import PostGenerator
from tallyhouse.load.proof import MeterProof, prepare_meters, prove, wait_until_counted
from tallyhouse.load.target import parse_target
from tallyhouse.load.workload import Workload, WorkloadShape
from tallyhouse.local.cluster import LocalCluster, LocalClusterOptions, open_local_cluster
from tallyhouse.local.services import http_get
from tallyhouse.runtime.clock import monotonic, now, sleep
from tallyhouse.runtime.exit_codes import FAILED

_OWNED = re.compile(r'^tallyhouse_partition_owned\{partition="(\d+)"\} 1\.0$', re.MULTILINE)

TIMEOUT_SECONDS = 180.0
_BATCH = 500
_CONNECTIONS = 4
"""Connections to each gateway."""
_POLL_SECONDS = 0.25
_KILLED_WORKER = "worker 1"
_SETTINGS = {"PORT": "0", "METRICS_PORT": "0", "PARTITIONS": "6", "API_RATE_LIMIT": "0"}

PartitionOwners = Mapping[str, AbstractSet[int]]
"""Worker → its partitions; empty for a worker that does not answer."""


async def partition_owners(workers: Mapping[str, str]) -> PartitionOwners:
    """Queries the metrics pages of `workers` (name → address), all at the same time."""
    pages = await asyncio.gather(*(asyncio.to_thread(http_get, f"{url}/metrics") for url in workers.values()))
    return {
        name: {int(found) for found in _OWNED.findall(text or "")} for name, text in zip(workers, pages, strict=True)
    }


def is_shared(owners: PartitionOwners, partitions: int, among: Sequence[str]) -> bool:
    """True when each partition has one worker, and the workers with partitions are exactly those in `among`."""
    owned = sorted(number for numbers in owners.values() for number in numbers)
    return owned == list(range(partitions)) and all(bool(owners[name]) == (name in among) for name in owners)


class DemoLoad:
    """The load of the demo. Any free gateway takes a post; a repeated event often goes to the other gateway."""

    def __init__(self, gateways: Sequence[str], key: str, events: int, seconds: float) -> None:
        shape = WorkloadShape()
        self._run = base36(now() // 1000, 8)[-8:]
        self._expected_usage = ExpectedUsage(shape)
        self._gateway, self._key = gateways[0], key
        self._began = now()
        generator = PostGenerator(
            Workload(shape, self._run), self._expected_usage, batch=_BATCH, now=now, events=events
        )
        targets = [parse_target(url, key) for url in gateways]
        options = DeliveryOptions(
            connections=_CONNECTIONS * len(targets), rate=events / seconds, timeout=TIMEOUT_SECONDS
        )
        self._client = LoadClient(targets, generator, options, monotonic)

    @property
    def acked(self) -> int:
        """Events answered `accepted` or `duplicate` so far."""
        return self._client.stats.acked

    @property
    def retries(self) -> int:
        """Posts that were retried."""
        return self._client.stats.retries

    async def prepare(self) -> None:
        with self._api() as api:
            await asyncio.to_thread(prepare_meters, api)

    async def send(self) -> None:
        """Sends all events; returns when all of them are acknowledged."""
        await self._client.run()

    async def prove(self) -> tuple[MeterProof, ...]:
        """Waits until all events are counted; compares every customer's value of every meter with what was sent."""
        return await asyncio.to_thread(self._prove)

    def _prove(self) -> tuple[MeterProof, ...]:
        with self._api() as api:
            wait_until_counted(api, clock=monotonic, pause=sleep, timeout=TIMEOUT_SECONDS)
            return prove(api, self._expected_usage, self._run, start=self._began, end=now())

    def _api(self) -> ApiClient:
        return ApiClient(self._gateway, self._key)


async def run_failover_demo(
    console: Console, folder: Path, environ: Mapping[str, str], events: int, seconds: float
) -> int:
    """Runs the demo on a cluster of its own; returns 0 if all totals are exact, else FAILED."""

    def notify(line: str) -> None:
        console.print(f"  {line}", style="dim", markup=False)

    console.print(
        "[bold]Starting a cluster on this machine:[/] Kafka, a usage store, a ledger, two workers, two gateways"
    )
    environment = {**environ, **{f"TALLYHOUSE_{name}": value for name, value in _SETTINGS.items()}}
    async with open_local_cluster(LocalClusterOptions(folder=folder), environment, notify) as cluster:
        load = DemoLoad(cluster.gateway_urls, cluster.key, events, seconds)
        await FailoverDemo(console, cluster, load, events).run()
        proofs = await load.prove()
        print_proofs(console, proofs)
    if any(proof.differences for proof in proofs):
        console.print("[bold red]Some totals differ from what was sent.[/]")
        return FAILED
    console.print("[bold green]Every total is exactly what was sent: nothing lost, nothing counted twice.[/]")
    return 0


class FailoverDemo:
    """The steps of the demo on a running cluster."""

    def __init__(self, console: Console, cluster: LocalCluster, load: DemoLoad, events: int) -> None:
        self._console = console
        self._cluster = cluster
        self._load = load
        self._events = events
        self._workers = {f"worker {number}": url for number, url in enumerate(cluster.worker_urls, 1)}
        self._others = [name for name in self._workers if name != _KILLED_WORKER]
        self._began = monotonic()

    async def run(self) -> None:
        """Returns when all events are sent and all workers have partitions again."""
        await self._load.prepare()
        await self._until_shared_by(list(self._workers))
        self._print(f"{self._events:,} events go to {len(self._cluster.gateway_urls)} gateways, one in a hundred twice")
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            showing = asyncio.create_task(self._show(live))
            try:
                await asyncio.gather(self._send(), self._kill_and_restore_worker())
            finally:
                showing.cancel()
        self._print("waiting until the last event is counted, then comparing every value with what was sent")

    async def _send(self) -> None:
        await self._load.send()
        self._print(f"all {self._events:,} events are acknowledged; {self._load.retries} posts were retried")

    async def _kill_and_restore_worker(self) -> None:
        await self._until("a third of the events", self._is_under_way)
        victim = self._cluster.workers.supervised(_KILLED_WORKER)
        victim.suspend_restarts()
        pid = self._cluster.workers.pid(_KILLED_WORKER)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        self._print(f"[bold red]{_KILLED_WORKER} (process {pid}) is killed with -9[/], {self._load.acked:,} events in")
        await self._until_shared_by(self._others)
        self._print(f"its partitions are taken over; {_KILLED_WORKER} may restart")
        victim.resume_restarts()
        await self._until_shared_by(list(self._workers))

    async def _is_under_way(self) -> bool:
        return self._load.acked >= self._events / 3

    async def _until_shared_by(self, names: Sequence[str]) -> None:
        async def shared() -> bool:
            return is_shared(await partition_owners(self._workers), self._cluster.settings.partitions, names)

        await self._until(f"the partitions to be shared by {' and '.join(names)}", shared)
        for name, numbers in (await partition_owners(self._workers)).items():
            owned = f"has partitions {', '.join(map(str, sorted(numbers)))}" if numbers else "has no partitions"
            self._print(f"[cyan]{name}[/] {owned}")

    async def _until(self, what: str, condition: Callable[[], Awaitable[bool]]) -> None:
        deadline = monotonic() + TIMEOUT_SECONDS
        while not await condition():
            if monotonic() > deadline:
                raise Overloaded(f"waited {TIMEOUT_SECONDS:.0f} s for {what}, without success")
            await asyncio.sleep(_POLL_SECONDS)

    async def _show(self, live: Live) -> None:
        while True:
            live.update(f"{self._elapsed}  {self._load.acked:>9,} of {self._events:,} acknowledged", refresh=True)
            await asyncio.sleep(_POLL_SECONDS)

    def _print(self, line: str) -> None:
        self._console.print(f"{self._elapsed}  {line}")

    @property
    def _elapsed(self) -> str:
        return f"{monotonic() - self._began:6.1f} s"
