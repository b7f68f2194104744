"""The billing API during ingestion: latency of fifty clients that read and write single objects."""

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
"""Mean seconds between two requests of a client: all clients together send 50 requests a second, or about 450."""

EVENTS_A_SECOND = 50_000
IN_FLIGHT = 2 * EVENTS_A_SECOND
"""Events accepted before the measurement: a generator that is still starting sends none, but occupies a core."""
_TARGETS = {"GET": 10.0, "PATCH": 25.0}
"""Milliseconds."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Duration of the measurement, and the mean pause of a client, in seconds."""

    seconds: float
    think: float


def measure(data: Path, seconds: float) -> list[Figure]:
    """Reads and writes customers and invoices, without other load and during ingestion at a fixed rate."""
    with ServerProcess(data, log_level="warning") as server:
        objects = _create_objects(server)
        written = [0] * len(objects)
        alone = _measured(server, objects, Pace(seconds=seconds, think=OFTEN), written)
        words = (f"--rate={EVENTS_A_SECOND}", f"--seconds={2 * seconds + 8}", f"--events={90_000_000}", "--only-send")
        loading = start(server.url, *words)
        wait_until("the load to start", lambda: _accepted(server) > IN_FLIGHT)
        seldom, often = (
            _measured(server, objects, Pace(seconds=seconds, think=think), written) for think in (SELDOM, OFTEN)
        )
        load = finish(loading)
        server.stop()
    return [
        *_figures("450 requests/s", alone, {}),
        *_figures("50 requests/s during 50 k events/s", seldom, _TARGETS, load=load),
        *_figures("450 requests/s during 50 k events/s", often, _TARGETS, load=load),
    ]


def _measured(
    server: ServerProcess, objects: list[tuple[str, str]], pace: Pace, written: list[int]
) -> dict[str, Latencies]:
    """Returns latencies by method. Raises TotalsDiffer if a customer lacks its last write."""
    latencies = {"GET": Latencies(), "PATCH": Latencies()}
    written[:] = map(max, written, asyncio.run(_run_clients(server.port, objects, pace, latencies, written)))
    for (customer, _), last in zip(objects, written, strict=True):
        stored = server.get(f"/v1/customers/{customer}")["customer"]["metadata"]
        if stored != ({"n": str(last)} if last else {}):
            raise TotalsDiffer(f"customer {customer} was last written as {last} and is {stored}")
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


def _create_objects(server: ServerProcess) -> list[tuple[str, str]]:
    """Creates a customer and an invoice for each client; returns their ids."""
    objects = []
    for number in range(CLIENTS):
        customer = server.post("/v1/customers", {"name": f"Customer {number}"}, expect=201)["customer"]["id"]
        line = {"description": "Fee", "quantity": 1, "unit_amount_cents": 100}
        body = {"customer_id": customer, "line_items": [line]}
        objects.append((customer, server.post("/v1/invoices", body, expect=201)["invoice"]["id"]))
    return objects


async def _run_clients(
    port: int, objects: list[tuple[str, str]], pace: Pace, latencies: dict[str, Latencies], written: list[int]
) -> list[int]:
    clients = zip(objects, written, strict=True)
    return await asyncio.gather(*(_client(port, ids, pace, latencies, before) for ids, before in clients))


async def _client(port: int, ids: tuple[str, str], pace: Pace, latencies: dict[str, Latencies], before: int) -> int:
    """Sends three reads and a write in turn over one connection; returns its last write, or `before` without one."""
    connection = await PlainConnection.open(port)
    customer, invoice = ids
    rng = random.Random(customer)  # Without it, all clients would send at the same instants.
    number = 0
    written = before
    until = time.monotonic() + pace.seconds
    await asyncio.sleep(rng.uniform(0, pace.think))
    while time.monotonic() < until:
        number += 1
        request: tuple[str, str, Any] = ("GET", f"/v1/customers/{customer}", None)
        if number % 4 == 0:
            request = ("PATCH", f"/v1/customers/{customer}", {"metadata": {"n": str(before + number)}})
            written = before + number
        elif number % 2 == 0:
            request = ("GET", f"/v1/invoices/{invoice}", None)
        began = time.perf_counter()
        await connection.request(*request)
        latencies[request[0]].add(time.perf_counter() - began)
        await asyncio.sleep(rng.uniform(0, 2 * pace.think))
    connection.close()
    return written
