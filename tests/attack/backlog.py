"""A backlog that waits for a worker: the events of one account under many meters, and what counting them takes."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from tests.server_process import ServerProcess, wait_until

BATCH = 10_000
PATIENCE = 3_600.0


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """How much waits, and for how many meters."""

    events: int
    customers: int
    counts: int = 0
    """Meters that count the events."""
    sums: int = 0
    """Meters that sum a property which the events lack: each event is a reject of each of them."""


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """What counting a backlog took."""

    seconds: float
    peak_memory: int
    """The largest resident size of the worker, in bytes."""


def post_backlog(data: Path, backlog: Backlog, **settings: str) -> None:
    """Posts the events to a server that counts nothing, and lets any number wait."""
    with ServerProcess(data, process_events="no", fan_out_rows="0", **settings) as server:
        for number in range(backlog.counts):
            server.make_meter(f"count_{number}")
        for number in range(backlog.sums):
            server.make_meter(f"sum_{number}", "$.renamed")
        for body in _bodies(backlog):
            answer = server.post("/v1/events/ingest", {"events": body})
            assert answer["accepted"] == len(body), answer
        assert server.stop() == 0


def _bodies(backlog: Backlog) -> Iterator[Sequence[dict[str, Any]]]:
    at = datetime.now(UTC).replace(second=0, microsecond=0).isoformat()
    for start in range(0, backlog.events, BATCH):
        yield [
            {
                "event_name": "api.request",
                "idempotency_key": f"key_{number}",
                "customer_id": f"customer_{number % backlog.customers}",
                "timestamp": at,
                "properties": {"tokens": 1},
            }
            for number in range(start, min(start + BATCH, backlog.events))
        ]


def count_backlog(server: ServerProcess) -> Counted:
    """Waits until all is counted. A stuck partition ends the wait with its state."""
    began, peak = time.monotonic(), 0

    def counted() -> bool:
        nonlocal peak
        with suppress(LookupError, OSError):
            peak = max(peak, _peak_memory(server.worker))
        partitions = server.get("/v1/status")["status"]["partitions"]
        stuck = [partition["state"] for partition in partitions if partition["state"].startswith(("stuck", "stopped"))]
        assert not stuck, stuck
        return all(partition["lag_frames"] == 0 for partition in partitions)

    wait_until("the backlog to be counted", counted, PATIENCE)
    return Counted(seconds=time.monotonic() - began, peak_memory=peak)


def _peak_memory(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
