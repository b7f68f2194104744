"""The embedded process as a user runs it: from a post to the usage that can be asked for."""

import itertools
import statistics
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ingest_gateway.load.latency import Latencies
from tests.bench import generator
from tests.bench.figures import Figure
from tests.bench.machine import peak_memory
from tests.e2e.server import Server, wait_until

_WARM_SECONDS = 3


def measure(data: Path, seconds: float, engine_per_second: float) -> list[Figure]:
    """One server for all of it, warmed up first."""
    with Server(data, log_level="warning") as server:
        generator.load(server.url, seconds=_WARM_SECONDS, events=90_000_000)
        whole = generator.load(server.url, seconds=seconds, events=90_000_000, patience=600)
        rate = whole["counted_per_second"]
        visible = _visible(server, seconds, rate / 2)
        metrics = server.client.get("/metrics").text
        memory = peak_memory(server.pid)
    return [
        Figure(
            name="embedded, POST to queryable, sustained",
            value=rate,
            unit="events/s",
            target=150_000,
            moonshot=400_000,
            details=whole | {"stages": stages(metrics)},
        ),
        Figure(
            name="ratio to the engine alone, same NDJSON",
            value=rate / engine_per_second,
            unit="",
            target=0.2,
            moonshot=0.5,
            details={"engine_events_per_second": engine_per_second},
        ),
        visible,
        Figure(name="peak resident memory", value=memory / 1e9, unit="GB", target=1.5, less_is_better=True),
    ]


def _visible(server: Server, seconds: float, rate: float) -> Figure:
    """Probe events, one after another, each asked for until it is in the usage, while half the load runs."""
    words = [f"--seconds={seconds}", f"--rate={rate}", "--events=90000000", "--patience=600"]
    load = generator.start(server.url, *words)
    waits: list[float] = []
    for number in itertools.count():
        if load.poll() is not None:
            break
        waits.append(_wait_for_probe(server, f"probe_{number}"))
    told = generator.finish(load)
    latencies = Latencies()
    for wait in waits:
        latencies.add(wait)
    return Figure(
        name="acked to visible, p99 at half load",
        value=latencies.percentile(99),
        unit="s",
        target=2.0,
        moonshot=0.5,
        less_is_better=True,
        details={"probes": len(waits), "p50": statistics.median(waits), "longest": max(waits), "load": told},
    )


def _wait_for_probe(server: Server, customer: str) -> float:
    now = datetime.now(UTC)
    minute = now.replace(second=0, microsecond=0)
    event = {
        "event_name": "load.request",
        "idempotency_key": f"{customer}_{now.timestamp()}",
        "customer_id": customer,
        "timestamp": now.isoformat(),
        "properties": {"model": "alpha", "tokens": 1, "cost": 0.1, "ms": 1, "user": "probe"},
    }
    server.post("/v1/events/ingest", event)
    acked = time.perf_counter()
    question = {
        "meter": "load_requests",
        "customer_id": customer,
        "from": minute.isoformat(),
        "to": (minute + timedelta(minutes=1)).isoformat(),
    }
    wait_until("a probe to be visible", lambda: bool(server.get("/v1/usage", **question)["usage"]))
    return time.perf_counter() - acked


def stages(metrics: str) -> dict[str, float]:
    """Seconds spent in each stage of all flushes and commits: where the time goes."""
    sums = (line.split(" ") for line in metrics.splitlines() if "_seconds_sum" in line and not line.startswith("#"))
    return {name.removeprefix("tallyhouse_"): float(value) for name, value in sums}
