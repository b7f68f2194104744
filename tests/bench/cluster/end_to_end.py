"""The cluster as a user runs it: from a post to the usage that a query returns, and the cost of each stage."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from tests import load_generator
from tests.bench import engine_alone
from tests.bench.cluster.pipeline import Pipeline, Print, Size, pipeline
from tests.bench.cluster.resource_usage import ResourceUsage, machine_seconds, resource_usage_at_end, since
from tests.bench.end_to_end import stages
from tests.bench.figures import Figure
from tests.bench.visibility_latency import VISIBLE, wait_for_probes

_WARM_SECONDS = 3
_FULL_LOAD = ("--events=90000000", "--patience=600")


def measure(folder: Path, seconds: float, size: Size, progress: Print) -> list[Figure]:
    """Measures the engine alone, then rate, latency and costs of one cluster after a warm-up."""
    progress("the same events into the engine alone")
    alone = engine_alone.measure(folder, int(seconds) * engine_alone.EVENTS_A_SECOND)
    with pipeline(folder, size, progress) as running:
        progress("warming up")
        load_generator.load(running.url, seconds=_WARM_SECONDS, events=90_000_000)
        progress(f"full load, for {seconds:.0f} s")
        report, costs = _loaded(running, seconds)
        rate = report["counted_per_second"]
        progress(f"{rate:,.0f} events/s; half load, for {seconds:.0f} s")
        probes = wait_for_probes(running.url, seconds, rate / 2)
        flushes = [stages(httpx.get(f"{url}/metrics").text) for url in running.workers]
        stored = running.stored_bytes()
    return [
        Figure(
            name="cluster, POST to queryable, sustained",
            value=rate,
            unit="events/s",
            target=80_000,
            moonshot=250_000,
            details=report | {"processes": {stage: len(pids) for stage, pids in running.pids.items()}},
        ),
        Figure(
            name="ratio to the engine alone, same NDJSON",
            value=rate / alone,
            unit="",
            details={"engine_events_per_second": alone},
        ),
        Figure(
            name=f"cluster, {VISIBLE}",
            value=probes.p99,
            unit="s",
            target=3.0,
            less_is_better=True,
            details=probes.details() | {"flushes": flushes},
        ),
        *_cost_figures(costs, report["acked"]),
        *_storage_figures(stored),
    ]


def _loaded(running: Pipeline, seconds: float) -> tuple[dict[str, Any], dict[str, ResourceUsage]]:
    """Returns the generator's report, and the usage of each stage until the generator ended."""
    before, all_before = running.resource_usage(), machine_seconds()
    load = load_generator.start(running.url, f"--seconds={seconds}", *_FULL_LOAD)
    of_load = resource_usage_at_end(load)
    costs = since(before, running.resource_usage()) | {"generator": of_load}
    accounted = sum(cost.seconds for cost in costs.values())
    # The kernel's writeback threads belong to no stage; neither do other programs that run on the machine.
    costs["rest of the machine"] = ResourceUsage(seconds=machine_seconds() - all_before - accounted, peak_memory=0)
    return load_generator.finish(load), costs


def _cost_figures(costs: Mapping[str, ResourceUsage], events: int) -> list[Figure]:
    """Costs are per event sent, including repeats."""
    total = sum(cost.seconds for cost in costs.values())
    return [
        Figure(
            name=f"processor time: {stage}",
            value=cost.seconds / events * 1e6,
            unit="µs/event",
            less_is_better=True,
            details={"seconds": cost.seconds, "share": cost.seconds / total, "peak_memory": cost.peak_memory},
        )
        for stage, cost in costs.items()
    ] + [
        Figure(name=f"peak resident memory: {stage}", value=cost.peak_memory / 1e6, unit="MB", less_is_better=True)
        for stage, cost in costs.items()
        if cost.peak_memory
    ]


def _storage_figures(stored: Mapping[str, int]) -> list[Figure]:
    """Bytes before the last merges: later the store needs less."""
    return [
        Figure(
            name=f"on disk: {what}",
            value=size / stored["rows"],
            unit="bytes/event",
            less_is_better=True,
            details={"bytes": size, "events": stored["rows"]},
        )
        for what, size in stored.items()
        if what != "rows"
    ]
