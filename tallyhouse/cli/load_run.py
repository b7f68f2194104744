"""Runs `tallyhouse load`: sends the load, shows its progress, and prints the proof."""

import asyncio
import signal
from collections.abc import Sequence

import msgspec
import uvloop
from rich.console import Console
from rich.live import Live
from rich.table import Table

from tallyhouse.cli.client import ApiClient
from tallyhouse.cli.printing import print_json
from tallyhouse.load.client import DeliveryOptions, LoadClient
from tallyhouse.load.expected_usage import ExpectedUsage
from tallyhouse.load.post_generator import PostGenerator
from tallyhouse.load.proof import MeterProof, prepare_meters, prove, wait_until_counted
from tallyhouse.load.target import parse_target
from tallyhouse.load.workload import Workload, WorkloadShape, new_run
from tallyhouse.runtime.clock import monotonic, now, sleep

_REDRAW_SECONDS = 0.25


def print_proofs(console: Console, proofs: Sequence[MeterProof]) -> None:
    """Prints a row for each meter, followed by every difference."""
    table = Table("meter", "values compared", "sent", "counted", "", box=None)
    for proof in proofs:
        verdict = "[red]differs[/]" if proof.differences else "[green]equal[/]"
        table.add_row(proof.meter, f"{proof.values:,}", f"{proof.expected:,f}", f"{proof.found:,f}", verdict)
    console.print(table)
    for proof in proofs:
        for difference in proof.differences:
            console.print(f"{proof.meter}: {difference}")


class LoadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the command. `seconds` and `timeout` are in seconds, `rate` in events per second."""

    url: str
    key: str
    events: int
    seconds: float | None
    batch: int
    connections: int
    rate: float | None
    customers: int
    seed: int
    timeout: float
    only_send: bool
    as_json: bool


def send_and_prove(options: LoadOptions) -> bool:
    """Sends the load and prints summary and proof; returns whether the usage equals what was sent."""
    target = parse_target(options.url, options.key)
    shape = WorkloadShape(seed=options.seed, customers=options.customers)
    run = new_run()
    expected_usage = ExpectedUsage(shape)
    generator = PostGenerator(Workload(shape, run), expected_usage, batch=options.batch, now=now, events=options.events)
    delivery = DeliveryOptions(connections=options.connections, rate=options.rate, timeout=options.timeout)
    client = LoadClient([target], generator, delivery, monotonic)
    start = now()
    with ApiClient(options.url, target.api_key) as api:
        prepare_meters(api)
        sending = monotonic()
        uvloop.run(_send(client, generator, options.seconds, quiet=options.as_json))
        summary = _summary(client, expected_usage, monotonic() - sending) | {"run": run}
        proofs: tuple[MeterProof, ...] = ()
        if not options.only_send:
            wait_until_counted(api, clock=monotonic, pause=sleep, timeout=options.timeout)
            summary["counted_per_second"] = client.stats.acked / (monotonic() - sending)
            proofs = prove(api, expected_usage, run, start=start, end=now())
    if options.as_json:
        print_json(summary | {"meters": [_proof_document(proof) for proof in proofs]})
    else:
        _print_proof(summary, proofs)
    return not any(proof.differences for proof in proofs)


async def _send(client: LoadClient, generator: PostGenerator, seconds: float | None, *, quiet: bool) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, generator.stop)
    if seconds is not None:
        loop.call_later(seconds, generator.stop)
    sending = asyncio.ensure_future(client.run())
    began = monotonic()
    with Live(console=Console(stderr=True, quiet=quiet), auto_refresh=False, transient=True) as live:
        while not sending.done():
            await asyncio.wait([sending], timeout=_REDRAW_SECONDS)
            live.update(_progress(client, monotonic() - began), refresh=True)
    loop.remove_signal_handler(signal.SIGINT)
    await sending


def _progress(client: LoadClient, elapsed: float) -> Table:
    stats = client.stats
    table = Table("sent", "acked", "duplicates", "errors", "events/s", "p50", "p99", box=None)
    table.add_row(
        f"{stats.sent:,}",
        f"{stats.acked:,}",
        f"{stats.duplicates:,}",
        f"{stats.retries:,}",
        f"{stats.acked / max(elapsed, 1e-9):,.0f}",
        f"{stats.latencies.percentile(50) * 1000:.1f} ms",
        f"{stats.latencies.percentile(99) * 1000:.1f} ms",
    )
    return table


def _summary(client: LoadClient, expected_usage: ExpectedUsage, seconds: float) -> dict[str, float | str]:
    stats = client.stats
    return {
        "sent": stats.sent,
        "acked": stats.acked,
        "different_events": expected_usage.events,
        "duplicates": stats.duplicates,
        "errors": stats.retries,
        "seconds": seconds,
        "acked_per_second": stats.acked / seconds,
        "p50_ms": stats.latencies.percentile(50) * 1000,
        "p99_ms": stats.latencies.percentile(99) * 1000,
    }


def _proof_document(proof: MeterProof) -> dict[str, object]:
    return {
        "meter": proof.meter,
        "values": proof.values,
        "sent": f"{proof.expected:f}",
        "counted": f"{proof.found:f}",
        "differences": list(proof.differences),
    }


def _print_proof(summary: dict[str, float | str], proofs: tuple[MeterProof, ...]) -> None:
    console = Console(soft_wrap=True)
    for name, value in summary.items():
        console.print(f"{name.replace('_', ' '):>20}  {value if isinstance(value, str) else f'{value:,.6g}'}")
    print_proofs(console, proofs)
