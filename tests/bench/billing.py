"""The billing API beside full ingestion: how long single objects take to be read and written by fifty clients."""

import asyncio
import random
import time
from pathlib import Path
from typing import Any

from ingest_gateway.load.latency import Latencies
from tests.bench.connection import Connection
from tests.bench.figures import Figure, TotalsDiffer
from tests.bench.generator import finish, start
from tests.e2e.server import Server

CLIENTS = 50
THINK_SECONDS = 0.1
"""Between two requests of a client, on average: together they ask some four hundred times a second."""

EVENTS_A_SECOND = 50_000
_TARGETS = {"GET": 10.0, "PATCH": 25.0}
"""Milliseconds."""


def measure(data: Path, seconds: float) -> list[Figure]:
    """Customers and invoices, one at a time: by themselves, and while events flow in at a fixed rate."""
    with Server(data, log_level="warning") as server:
        things = _furnish(server)
        alone = _told(server, things, seconds)
        words = (f"--rate={EVENTS_A_SECOND}", f"--seconds={seconds + 5}", f"--events={90_000_000}", "--only-send")
        loading = start(server.url, *words)
        beside = _told(server, things, seconds)
        load = finish(loading)
        server.stop()
    return [*_figures("", alone, {}), *_figures(", 50 k events/s", beside, _TARGETS, load=load)]


def _told(server: Server, things: list[tuple[str, str]], seconds: float) -> dict[str, Latencies]:
    """How long each took, by method. What was written last must be there."""
    told = {"GET": Latencies(), "PATCH": Latencies()}
    written = asyncio.run(_ask(server.port, things, seconds, told))
    for (customer, _), last in zip(things, written, strict=True):
        kept = server.get(f"/v1/customers/{customer}")["customer"]["metadata"]
        if kept != {"n": str(last)}:
            raise TotalsDiffer(f"customer {customer} was last written as {last} and is {kept}")
    return told


def _figures(beside: str, told: dict[str, Latencies], targets: dict[str, float], **details: Any) -> list[Figure]:
    return [
        Figure(
            name=f"billing API: {what} p99 at 50 clients{beside}",
            value=told[method].percentile(99) * 1000,
            unit="ms",
            target=targets.get(method),
            less_is_better=True,
            details={"p50_ms": told[method].percentile(50) * 1000, **details},
        )
        for what, method in (("reads", "GET"), ("writes", "PATCH"))
    ]


def _furnish(server: Server) -> list[tuple[str, str]]:
    """A customer and an invoice for each client."""
    things = []
    for number in range(CLIENTS):
        customer = server.post("/v1/customers", {"name": f"Customer {number}"}, expect=201)["customer"]["id"]
        line = {"description": "Fee", "quantity": 1, "unit_amount_cents": 100}
        body = {"customer_id": customer, "line_items": [line]}
        things.append((customer, server.post("/v1/invoices", body, expect=201)["invoice"]["id"]))
    return things


async def _ask(port: int, things: list[tuple[str, str]], seconds: float, told: dict[str, Latencies]) -> list[int]:
    until = time.monotonic() + seconds
    return await asyncio.gather(*(_client(port, thing, until, told) for thing in things))


async def _client(port: int, thing: tuple[str, str], until: float, told: dict[str, Latencies]) -> int:
    """Three reads, then a write, over one connection; what it wrote last."""
    connection = await Connection.open(port)
    customer, invoice = thing
    chance = random.Random(customer)  # Fifty that ask at the same moment, over and over, are one client.
    number = written = 0
    await asyncio.sleep(chance.uniform(0, THINK_SECONDS))
    while time.monotonic() < until:
        number += 1
        wanted: tuple[str, str, Any] = ("GET", f"/v1/customers/{customer}", None)
        if number % 4 == 0:
            wanted = ("PATCH", f"/v1/customers/{customer}", {"metadata": {"n": str(number)}})
            written = number
        elif number % 2 == 0:
            wanted = ("GET", f"/v1/invoices/{invoice}", None)
        began = time.perf_counter()
        await connection.ask(*wanted)
        told[wanted[0]].add(time.perf_counter() - began)
        await asyncio.sleep(chance.uniform(0, 2 * THINK_SECONDS))
    connection.close()
    return written
