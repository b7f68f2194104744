"""`tallyhouse load`: sends a bounded load, shows how it goes, and proves that all of it was counted."""

import asyncio
import signal
import time
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.live import Live
from rich.table import Table

from ingest_gateway.cli.api import Api
from ingest_gateway.cli.connecting import AsJson, Key, Url, find_key, find_url
from ingest_gateway.cli.printing import print_json
from ingest_gateway.cli.proofs import print_proofs
from ingest_gateway.load.client import Client, Plan
from ingest_gateway.load.proof import MeterProof, prepare_meters, prove, wait_until_counted
from ingest_gateway.load.supply import Supply
from ingest_gateway.load.target import parse_target
from ingest_gateway.load.truth import Truth
from ingest_gateway.load.workload import Shape, Workload
from schemas.ids import base36

_REDRAW = 0.25


def load(
    events: Annotated[int, typer.Option("--events", min=1, max=90_000_000, help="Events to send at most.")] = 100_000,
    seconds: Annotated[float | None, typer.Option("--seconds", min=0.1, help="Stop after this long.")] = None,
    batch: Annotated[
        int, typer.Option("--batch", min=1, max=10_000, help="Events per post; 1 posts them bare.")
    ] = 1000,
    connections: Annotated[int, typer.Option("--connections", min=1, max=1000, help="Posts at a time.")] = 16,
    rate: Annotated[float | None, typer.Option("--rate", min=1, help="Events per second; else all it takes.")] = None,
    customers: Annotated[int, typer.Option("--customers", min=1, max=10_000, help="The top one gets 35 %.")] = 10_000,
    seed: Annotated[int, typer.Option("--seed", help="The same seed makes the same events.")] = 1,
    patience: Annotated[
        float, typer.Option("--patience", help="Seconds to wait for one ack, and for the count.")
    ] = 120,
    only_send: Annotated[
        bool, typer.Option("--only-send", help="Do not wait for the count, and prove nothing.")
    ] = False,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Send load and prove that the usage equals what was sent; exit code 1 when it does not."""
    target = parse_target(find_url(url), find_key(key))
    shape = Shape(seed=seed, customers=customers)
    run = base36(time.time_ns() // 1_000_000, 8)[-8:]
    truth = Truth(shape)
    supply = Supply(Workload(shape, run), truth, batch=batch, now=_micros, events=events)
    client = Client([target], supply, Plan(connections=connections, rate=rate, patience=patience), time.monotonic)
    start = _micros()
    with Api(find_url(url), target.api_key) as api:
        prepare_meters(api)
        sending = time.monotonic()
        uvloop.run(_send(client, supply, seconds, quiet=as_json))
        summary = _summary(client, truth, time.monotonic() - sending) | {"run": run}
        proofs: tuple[MeterProof, ...] = ()
        if not only_send:
            wait_until_counted(api, clock=time.monotonic, pause=time.sleep, patience=patience)
            summary["counted_per_second"] = client.tally.acked / (time.monotonic() - sending)
            proofs = prove(api, truth, run, start=start, end=_micros())
    if as_json:
        print_json(summary | {"meters": [_proof_document(proof) for proof in proofs]})
    else:
        _print_proof(summary, proofs)
    if any(proof.differences for proof in proofs):
        raise typer.Exit(1)


async def _send(client: Client, supply: Supply, seconds: float | None, *, quiet: bool) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, supply.stop)
    if seconds is not None:
        loop.call_later(seconds, supply.stop)
    sending = asyncio.ensure_future(client.run())
    began = time.monotonic()
    with Live(console=Console(stderr=True, quiet=quiet), auto_refresh=False, transient=True) as live:
        while not sending.done():
            await asyncio.wait([sending], timeout=_REDRAW)
            live.update(_progress(client, time.monotonic() - began), refresh=True)
    loop.remove_signal_handler(signal.SIGINT)
    await sending


def _progress(client: Client, elapsed: float) -> Table:
    tally = client.tally
    table = Table("sent", "acked", "duplicates", "errors", "events/s", "p50", "p99", box=None)
    table.add_row(
        f"{tally.sent:,}",
        f"{tally.acked:,}",
        f"{tally.duplicates:,}",
        f"{tally.retries:,}",
        f"{tally.acked / max(elapsed, 1e-9):,.0f}",
        f"{tally.latencies.percentile(50) * 1000:.1f} ms",
        f"{tally.latencies.percentile(99) * 1000:.1f} ms",
    )
    return table


def _summary(client: Client, truth: Truth, seconds: float) -> dict[str, float | str]:
    tally = client.tally
    return {
        "sent": tally.sent,
        "acked": tally.acked,
        "different_events": truth.events,
        "duplicates": tally.duplicates,
        "errors": tally.retries,
        "seconds": seconds,
        "acked_per_second": tally.acked / seconds,
        "p50_ms": tally.latencies.percentile(50) * 1000,
        "p99_ms": tally.latencies.percentile(99) * 1000,
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


def _micros() -> int:
    return time.time_ns() // 1000
