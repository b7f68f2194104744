"""What `tallyhouse load` does: the load, its progress on the terminal, and the proof."""

import asyncio
import signal
import time

import msgspec
import uvloop
from rich.console import Console
from rich.live import Live
from rich.table import Table

from tallyhouse.cli.client import Api
from tallyhouse.cli.printing import print_json
from tallyhouse.cli.proofs import print_proofs
from tallyhouse.load.client import Client, Plan
from tallyhouse.load.expected_usage import Truth
from tallyhouse.load.post_generator import Supply
from tallyhouse.load.proof import MeterProof, prepare_meters, prove, wait_until_counted
from tallyhouse.load.target import parse_target
from tallyhouse.load.workload import Shape, Workload, new_run

_REDRAW = 0.25


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for."""

    url: str
    key: str
    events: int
    seconds: float | None
    batch: int
    connections: int
    rate: float | None
    customers: int
    seed: int
    patience: float
    only_send: bool
    as_json: bool


def send_and_prove(order: Order) -> bool:
    """Whether the usage equals what was sent."""
    target = parse_target(order.url, order.key)
    shape = Shape(seed=order.seed, customers=order.customers)
    run = new_run()
    truth = Truth(shape)
    supply = Supply(Workload(shape, run), truth, batch=order.batch, now=_micros, events=order.events)
    plan = Plan(connections=order.connections, rate=order.rate, patience=order.patience)
    client = Client([target], supply, plan, time.monotonic)
    start = _micros()
    with Api(order.url, target.api_key) as api:
        prepare_meters(api)
        sending = time.monotonic()
        uvloop.run(_send(client, supply, order.seconds, quiet=order.as_json))
        summary = _summary(client, truth, time.monotonic() - sending) | {"run": run}
        proofs: tuple[MeterProof, ...] = ()
        if not order.only_send:
            wait_until_counted(api, clock=time.monotonic, pause=time.sleep, patience=order.patience)
            summary["counted_per_second"] = client.tally.acked / (time.monotonic() - sending)
            proofs = prove(api, truth, run, start=start, end=_micros())
    if order.as_json:
        print_json(summary | {"meters": [_proof_document(proof) for proof in proofs]})
    else:
        _print_proof(summary, proofs)
    return not any(proof.differences for proof in proofs)


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
