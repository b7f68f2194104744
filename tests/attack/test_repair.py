"""Lost parts of the usage store are made again by `tallyhouse repair`: usage, reposts and flushes are exact."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.attack.stopped_store import run_sql
from tests.server_process import ROOT, ServerProcess, wait_until

EVENTS = 3_000
AT = datetime.now(UTC).isoformat()
MONTH = int(datetime.now(UTC).strftime("%Y%m"))
TABLES = ("usage", "seen", "flushes")


def post(server: ServerProcess, numbers: range) -> None:
    """Every tenth event has tokens that its meter rejects."""
    events = [
        {
            "event_name": "api.request",
            "customer_id": f"c{number % 5}",
            "timestamp": AT,
            "idempotency_key": f"key_{number}",
            "properties": {"tokens": "many" if number % 10 == 0 else number},
        }
        for number in numbers
    ]
    server.post("/v1/events/ingest", {"events": events})


def check_totals(server: ServerProcess, events: int = EVENTS) -> None:
    assert server.total("calls") == events
    assert server.total("tokens") == sum(number for number in range(events) if number % 10)
    assert server.total("late") == events


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with many flushes, a meter that is younger than most of them, and a replayed reject."""
    data = tmp_path_factory.mktemp("intact") / "data"
    with ServerProcess(data, flush_frames="1") as server:
        server.make_meter("calls")
        server.make_meter("tokens", "$.tokens")
        for start in range(0, EVENTS, 100):
            post(server, range(start, start + 100))
            if start == 2000:
                server.make_meter("late")
        server.wait_until_counted()
        wait_until("the backfill", lambda: server.total("late") == EVENTS)
        rejects = server.get("/v1/rejects", meter="tokens", limit=1)["rejects"]
        server.post("/v1/rejects/replay", {"ids": [rejects[0]["id"]]})
        post(server, range(50))  # A flush of duplicates alone.
        server.wait_until_counted()
        check_totals(server)
        assert server.stop() == 0
    return data


def run_repair_process(data: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tallyhouse", "repair", *options],
        env=environment(data),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def run_repair(data: Path, *options: str, code: int = 0) -> str:
    done = run_repair_process(data, *options)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def environment(data: Path) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TALLYHOUSE_")}
    return clean | {"TALLYHOUSE_DATA_DIR": str(data)}


def files_of(data: Path, table: str) -> Iterator[Path]:
    """The column files of the table's parts."""
    (folder,) = run_sql(data, f"SELECT data_paths[1] FROM system.tables WHERE name = '{table}'").split()
    for path in sorted(Path(folder).rglob("*.bin")):
        if "detached" not in path.parts:
            yield path


def cut(data: Path, table: str) -> None:
    """Cuts the end off a file of every part of the table but one."""
    parts = sorted({path.parent for path in files_of(data, table)})
    for part in parts[: max(1, len(parts) // 2)]:
        file = max(part.glob("*.bin"), key=lambda path: path.stat().st_size)
        with file.open("r+b") as opened:
            opened.truncate(file.stat().st_size // 2)


def copy(intact: Path, tmp_path: Path) -> Path:
    data = tmp_path / "data"
    shutil.copytree(intact, data, symlinks=True)
    return data


def check_alarm(data: Path, text: str = "tallyhouse repair") -> None:
    with ServerProcess(data).launched() as server:
        wait_until("the alarm", lambda: text in server.output())


def check_repaired(data: Path) -> None:
    """Usage equals the oracle, and what is posted again does not count again."""
    with ServerProcess(data, flush_frames="1") as server:
        check_totals(server)
        post(server, range(EVENTS))
        server.wait_until_counted()
        check_totals(server)
        post(server, range(EVENTS, EVENTS + 100))
        server.wait_until_counted()
        check_totals(server, EVENTS + 100)
        assert server.get("/v1/rejects", limit=1000)["rejects"]
        assert server.stop() == 0


@pytest.mark.parametrize(
    "table", ["usage", *(pytest.param(table, marks=pytest.mark.long) for table in TABLES if table != "usage")]
)
def test_a_cut_part_is_an_alarm_that_repair_clears(intact: Path, tmp_path: Path, table: str) -> None:
    """The dry run changes nothing, and a second repair finds nothing."""
    data = copy(intact, tmp_path)
    cut(data, table)
    check_alarm(data)
    assert table in run_repair(data, "--dry-run", code=1)
    check_alarm(data)
    assert table in run_repair(data)
    assert run_repair(data) == "the usage store is complete\n"
    check_repaired(data)


@pytest.mark.long
@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("usage", "customer_id IN ('0/3', '1/2')"),
        ("usage", "1"),
        ("seen", "n % 3 = 1"),
        ("seen", "1"),
        ("flushes", "n % 2 = 0 AND kind = 'claim'"),
        ("flushes", "kind = 'done'"),
        ("flushes", "n >= 5"),
        ("flushes", "1"),
    ],
)
def test_rows_that_were_deleted_are_made_again(intact: Path, tmp_path: Path, table: str, rows: str) -> None:
    """Whatever of one table is left."""
    data = copy(intact, tmp_path)
    run_sql(data, f"ALTER TABLE {table} DELETE WHERE {rows} SETTINGS mutations_sync = 1")
    run_repair(data)
    assert run_repair(data) == "the usage store is complete\n"
    check_repaired(data)


@pytest.mark.long
def test_usage_seen_and_flushes_are_made_again_together(intact: Path, tmp_path: Path) -> None:
    """From nothing but the events and the rejects. Replay keys are lost with `seen`, and their usage with `usage`."""
    data = copy(intact, tmp_path)
    run_sql(data, *(f"ALTER TABLE {table} DELETE WHERE 1 SETTINGS mutations_sync = 1" for table in TABLES))
    run_repair(data)
    assert run_repair(data) == "the usage store is complete\n"
    check_repaired(data)


@pytest.mark.long
@pytest.mark.parametrize("seconds", [1.5, 2.0, 2.5, 3.0, 3.5, 4.0])
def test_a_repair_that_is_killed_is_continued(intact: Path, tmp_path: Path, seconds: float) -> None:
    """At whatever moment, nothing is lost and nothing is doubled."""
    data = copy(intact, tmp_path)
    for table in TABLES:
        cut(data, table)
    check_alarm(data)
    killed = subprocess.Popen([sys.executable, "-m", "tallyhouse", "repair"], env=environment(data), cwd=ROOT)
    time.sleep(seconds)
    killed.kill()
    killed.wait()
    run_repair(data)
    assert run_repair(data) == "the usage store is complete\n"
    check_repaired(data)


@pytest.mark.long
def test_lost_events_are_counted_and_cannot_be_repaired(intact: Path, tmp_path: Path) -> None:
    """Their keys say how many there were, and in which flushes."""
    data = copy(intact, tmp_path)
    number = int(run_sql(data, "SELECT max(n) FROM events WHERE p = 0"))
    lost = int(run_sql(data, f"SELECT count() FROM events WHERE p = 0 AND n = {number}"))
    run_sql(data, f"ALTER TABLE events DELETE WHERE p = 0 AND n = {number} SETTINGS mutations_sync = 1")
    check_alarm(data)
    found = run_repair(data, code=1)
    where = f"of partition 0, of the flushes {number} in the arrival month {MONTH}"
    assert f"CANNOT BE REPAIRED: {lost} events {where}" in found
    assert Decimal(run_sql(data, "SELECT sum(count) FROM usage WHERE meter = 'calls'").strip()) == EVENTS


@pytest.mark.long
def test_repair_is_refused_without_the_ledger_of_the_store(intact: Path, tmp_path: Path) -> None:
    """Another one has no meters: counting with it would make the usage empty."""
    data = copy(intact, tmp_path)
    with ServerProcess(tmp_path / "other"):
        pass
    for other, words in (
        (tmp_path / "other" / "ledger.sqlite", "Restore the ledger"),
        (None, "nothing can be counted"),
    ):
        for old in data.glob("ledger.sqlite*"):
            old.unlink()
        if other is not None:
            shutil.copy(other, data / "ledger.sqlite")
        refused = run_repair_process(data, "--usage")
        assert refused.returncode == 1
        assert words in refused.stderr
    assert Decimal(run_sql(data, "SELECT sum(count) FROM usage WHERE meter = 'calls'").strip()) == EVENTS


@pytest.mark.long
def test_repair_is_refused_while_the_server_runs(intact: Path, tmp_path: Path) -> None:
    """Two processes must not write to one store."""
    data = copy(intact, tmp_path)
    with ServerProcess(data):
        done = run_repair_process(data, "--dry-run")
        assert done.returncode == 1
        assert "is in use by process" in done.stderr
