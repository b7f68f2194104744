"""Measures the time from an acknowledgement until the event is in the usage, under load."""

import itertools
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from tallyhouse.cli.client import ApiClient
from tallyhouse.load.latency import Latencies
from tests import load_generator
from tests.server_process import KEY, wait_until

VISIBLE = "acked to visible, p99 at half load"


class Probes(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds until each probe event was visible, and the report of the simultaneous load."""

    waits: Sequence[float]
    load: dict[str, Any]

    @property
    def p99(self) -> float:
        latencies = Latencies()
        for wait in self.waits:
            latencies.add(wait)
        return latencies.percentile(99)

    def details(self) -> dict[str, Any]:
        waits = self.waits
        return {"probes": len(waits), "p50": statistics.median(waits), "longest": max(waits), "load": self.load}


def wait_for_probes(url: str, seconds: float, rate: float) -> Probes:
    """Posts one probe event after another, and polls the usage until the probe is visible, while the load runs."""
    load = load_generator.start(url, f"--seconds={seconds}", f"--rate={rate}", "--events=90000000", "--patience=600")
    waits: list[float] = []
    with ApiClient(url, KEY) as api:
        for number in itertools.count():
            if load.poll() is not None:
                break
            waits.append(_wait_for_probe(api, f"probe_{number}"))
    return Probes(waits=waits, load=load_generator.finish(load))


def _wait_for_probe(api: ApiClient, customer: str) -> float:
    now = datetime.now(UTC)
    minute = now.replace(second=0, microsecond=0)
    event = {
        "event_name": "load.request",
        "idempotency_key": f"{customer}_{now.timestamp()}",
        "customer_id": customer,
        "timestamp": now.isoformat(),
        "properties": {"model": "alpha", "tokens": 1, "cost": 0.1, "ms": 1, "user": "probe"},
    }
    api.post("/v1/events/ingest", event)
    acked = time.perf_counter()
    question = {
        "meter": "load_requests",
        "customer_id": customer,
        "from": minute.isoformat(),
        "to": (minute + timedelta(minutes=1)).isoformat(),
    }
    wait_until("a probe to be visible", lambda: bool(api.get("/v1/usage", **question)["usage"]))
    return time.perf_counter() - acked
