"""`tallyhouse serve` as a user runs it: from a post to the usage that a query returns."""

from pathlib import Path

from tests import load_generator
from tests.bench.figures import Figure
from tests.bench.machine import peak_memory
from tests.bench.visibility_latency import VISIBLE, wait_for_probes
from tests.server_process import ServerProcess

_WARM_SECONDS = 3


def measure(data: Path, seconds: float, engine_per_second: float) -> list[Figure]:
    """Measures rate, latency and memory of one server, after a warm-up."""
    with ServerProcess(data, log_level="warning") as server:
        load_generator.load(server.url, seconds=_WARM_SECONDS, events=90_000_000)
        whole = load_generator.load(server.url, seconds=seconds, events=90_000_000, patience=600)
        rate = whole["counted_per_second"]
        probes = wait_for_probes(server.url, seconds, rate / 2)
        metrics = server.client.get("/metrics").text
        memory = peak_memory(server.pid) + peak_memory(server.worker)
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
        Figure(
            name=VISIBLE,
            value=probes.p99,
            unit="s",
            target=2.0,
            moonshot=0.5,
            less_is_better=True,
            details=probes.details(),
        ),
        Figure(name="peak resident memory", value=memory / 1e9, unit="GB", target=1.5, less_is_better=True),
    ]


def stages(metrics: str) -> dict[str, float]:
    """Returns the seconds that all flushes and commits spent in each stage."""
    sums = (line.split(" ") for line in metrics.splitlines() if "_seconds_sum" in line and not line.startswith("#"))
    return {name.removeprefix("tallyhouse_"): float(value) for name, value in sums}
