"""The billing API beside full ingestion: how long single objects take to be read and written by fifty clients."""

import asyncio
import random
import time
from pathlib import Path
from typing import Any

import msgspec

from tallyhouse.load.latency import Latencies
from tests.bench.connection import PlainConnection
from tests.bench.figures import Figure, TotalsDiffer
from tests.load_generator import finish, start
from tests.server_process import ServerProcess, wait_until

CLIENTS = 50
SELDOM, OFTEN = 1.0, 0.1
"""Seconds between two requests of a client, on average: together they ask fifty times a second, or some 450 times."""

EVENTS_A_SECOND = 50_000
IN_FLIGHT = 2 * EVENTS_A_SECOND
"""Events accepted before anything is measured: a generator that is still loading sends none, and takes a processor."""
_TARGETS = {"GET": 10.0, "PATCH": 25.0}
"""Milliseconds."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How long, and how often."""

    seconds: float
    think: float


def measure(data: Path, seconds: float) -> list[Figure]:
    """Customers and invoices, one at a time: by themselves, and while events flow in at a fixed rate."""
    with ServerProcess(data, log_level="warning") as server:
        things = _furnish(server)
        written = [0] * len(things)
        alone = _measured(server, things, Pace(seconds=seconds, think=OFTEN), written)
        words = (f"--rate={EVENTS_A_SECOND}", f"--seconds={2 * seconds + 8}", f"--events={90_000_000}", "--only-send")
        loading = start(server.url, *words)
        wait_until("the load to be under way", lambda: _accepted(server) > IN_FLIGHT)
        seldom, often = (
            _measured(server, things, Pace(seconds=seconds, think=think), written) for think in (SELDOM, OFTEN)
        )
        load = finish(loading)
        server.stop()
    return [
        *_figures("450 requests/s", alone, {}),
        *_figures("50 requests/s beside 50 k events/s", seldom, _TARGETS, load=load),
        *_figures("450 requests/s beside 50 k events/s", often, _TARGETS, load=load),
    ]


def _measured(
    server: ServerProcess, things: list[tuple[str, str]], pace: Pace, written: list[int]
) -> dict[str, Latencies]:
    """How long each took, by method. What was written last, now or before, must be there."""
    latencies = {"GET": Latencies(), "PATCH": Latencies()}
    written[:] = map(max, written, asyncio.run(_ask(server.port, things, pace, latencies, written)))
    for (customer, _), last in zip(things, written, strict=True):
        kept = server.get(f"/v1/customers/{customer}")["customer"]["metadata"]
        if kept != ({"n": str(last)} if last else {}):
            raise TotalsDiffer(f"customer {customer} was last written as {last} and is {kept}")
    return latencies


def _accepted(server: ServerProcess) -> float:
    name = 'tallyhouse_ingest_events_total{verdict="accepted"} '
    lines = server.client.get("/metrics").text.splitlines()
    return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))


def _figures(how: str, latencies: dict[str, Latencies], targets: dict[str, float], **details: Any) -> list[Figure]:
    return [
        Figure(
            name=f"50 clients, {how}: {what} p99",
            value=latencies[method].percentile(99) * 1000,
            unit="ms",
            target=targets.get(method),
            less_is_better=True,
            details={"p50_ms": latencies[method].percentile(50) * 1000, **details},
        )
        for what, method in (("reads", "GET"), ("writes", "PATCH"))
    ]


def _furnish(server: ServerProcess) -> list[tuple[str, str]]:
    """A customer and an invoice for each client."""
    things = []
    for number in range(CLIENTS):
        customer = server.post("/v1/customers", {"name": f"Customer {number}"}, expect=201)["customer"]["id"]
        line = {"description": "Fee", "quantity": 1, "unit_amount_cents": 100}
        body = {"customer_id": customer, "line_items": [line]}
        things.append((customer, server.post("/v1/invoices", body, expect=201)["invoice"]["id"]))
    return things


async def _ask(
    port: int, things: list[tuple[str, str]], pace: Pace, latencies: dict[str, Latencies], written: list[int]
) -> list[int]:
    clients = zip(things, written, strict=True)
    return await asyncio.gather(*(_client(port, thing, pace, latencies, before) for thing, before in clients))


async def _client(port: int, thing: tuple[str, str], pace: Pace, latencies: dict[str, Latencies], before: int) -> int:
    """Three reads, then a write, over one connection; what it wrote last, or what was written `before`."""
    connection = await PlainConnection.open(port)
    customer, invoice = thing
    chance = random.Random(customer)  # Fifty that ask at the same moment, over and over, are one client.
    number = 0
    written = before
    until = time.monotonic() + pace.seconds
    await asyncio.sleep(chance.uniform(0, pace.think))
    while time.monotonic() < until:
        number += 1
        wanted: tuple[str, str, Any] = ("GET", f"/v1/customers/{customer}", None)
        if number % 4 == 0:
            wanted = ("PATCH", f"/v1/customers/{customer}", {"metadata": {"n": str(before + number)}})
            written = before + number
        elif number % 2 == 0:
            wanted = ("GET", f"/v1/invoices/{invoice}", None)
        began = time.perf_counter()
        await connection.ask(*wanted)
        latencies[wanted[0]].add(time.perf_counter() - began)
        await asyncio.sleep(chance.uniform(0, 2 * pace.think))
    connection.close()
    return written
