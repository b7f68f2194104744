"""Inserts the same events as NDJSON into the engine alone: the limit of the hardware and the engine."""

import json
import subprocess
import sys
import time
from pathlib import Path

import clickhouse_connect

from tallyhouse.load.workload import Workload, WorkloadShape
from tests.bench.figures import TotalsDiffer

EVENTS_A_SECOND = 70_000
"""Events for each second of load in the other runs: enough for the engine to reach its steady speed."""

_TABLE = """
CREATE TABLE events (event_name LowCardinality(String), idempotency_key String, customer_id String,
timestamp DateTime64(6, 'UTC'), properties String) ENGINE = MergeTree ORDER BY (customer_id, timestamp)
"""
_INSERT = "INSERT INTO events SELECT * FROM file('{path}', 'JSONEachRow', '{columns}')"
_COLUMNS = (
    "event_name String, idempotency_key String, customer_id String, "
    "timestamp DateTime64(6, \\'UTC\\'), properties String"
)


def measure(directory: Path, events: int) -> float:
    """Returns events per second, measured in a process of its own: a process can open only one data directory."""
    path = directory / "events.ndjson"
    _write(path, events)
    run = subprocess.run(
        [sys.executable, "-m", "tests.bench.engine_alone", str(path), str(events)],
        capture_output=True,
        text=True,
        check=True,
    )
    path.unlink()
    return float(json.loads(run.stdout.splitlines()[-1]))


def _write(path: Path, events: int) -> None:
    workload = Workload(WorkloadShape(), "engine00")
    with path.open("wb") as file:
        for _ in range(events // 10_000):
            file.writelines(line + b"\n" for line in workload.batch(10_000, time.time_ns() // 1000).single_events())


def _insert(path: Path, events: int) -> float:
    client = clickhouse_connect.get_client(interface="chdb", path=str(path.parent / "engine-alone"))
    client.command(_TABLE)
    settings = {"input_format_json_read_objects_as_strings": 1, "date_time_input_format": "best_effort"}
    insert = _INSERT.format(path=path, columns=_COLUMNS)
    client.command(
        insert, settings=settings
    )  # The first insert is several times slower: it would understate the engine.
    client.command("TRUNCATE TABLE events")
    began = time.perf_counter()
    client.command(insert, settings=settings)
    took = time.perf_counter() - began
    stored = client.query("SELECT count() FROM events").result_rows[0][0]
    if stored != events // 10_000 * 10_000:
        raise TotalsDiffer(f"the engine alone stored {stored} of {events} events")
    return float(stored) / took


if __name__ == "__main__":
    print(_insert(Path(sys.argv[1]), int(sys.argv[2])))
