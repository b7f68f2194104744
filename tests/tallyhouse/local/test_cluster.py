"""A local cluster serves at the printed addresses, restarts its processes, and leaves none behind."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from tallyhouse.local.kafka_broker import probe_cluster_id
from tallyhouse.local.kafka_jars import KafkaInstallation
from tests.backing_services.postgresql import passable_folder
from tests.serve_terminal import pasted
from tests.server_process import wait_until
from tests.tallyhouse.cluster.installation import is_ready, metric_sum
from tests.tallyhouse.cluster.test_end_to_end import is_running
from tests.tallyhouse.local.cluster_terminal import ClusterTerminal, run, started

NO_POSTGRESQL = {"POSTGRESQL_HOME": "/nowhere"}


@pytest.fixture(scope="module")
def terminal(runtime: KafkaInstallation) -> Iterator[ClusterTerminal]:
    """A running cluster, shared by tests that do not change it."""
    with passable_folder() as data, started(data) as up:
        yield up


@pytest.mark.long
def test_every_address_answers(terminal: ClusterTerminal) -> None:
    """Two gateways and two workers are ready; Kafka, the store and the ledger are at the printed addresses."""
    gateways, workers = terminal.places("gateways"), terminal.places("workers")
    assert (len(gateways), len(workers)) == (2, 2)
    wait_until("the gateways to be ready", lambda: all(map(is_ready, gateways)))
    wait_until("all partitions to be owned", lambda: sum(map(_owned, workers)) == 12)
    host, port = terminal.places("Kafka")[0].split(":")
    assert probe_cluster_id(host, int(port)) is not None
    store = httpx.post(terminal.places("ClickHouse")[0], content="SELECT count() FROM tallyhouse.events", timeout=30)
    assert store.text == "0\n"
    assert _keys_in(terminal) == 1


def _owned(metrics: str) -> float:
    return metric_sum(metrics.removesuffix("/metrics"), "partition_owned")


def _keys_in(terminal: ClusterTerminal) -> int:
    """The number of API keys, queried from the ledger's database."""
    words = terminal.places("ledger")
    postgresql = f"postgresql+psycopg://postgres@/{words[-1]}?host={words[2]}"
    url = f"sqlite:///{words[1]}" if words[0] == "sqlite3" else postgresql
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        count: int = connection.exec_driver_sql("SELECT count(*) FROM api_keys").scalar_one()
    engine.dispose()
    return count


@pytest.mark.long
def test_a_second_start_on_the_same_folder_is_refused(terminal: ClusterTerminal) -> None:
    """The error names the process that uses it, and the option for another folder."""
    second = run("cluster", "--data", str(terminal.data))
    assert second.returncode == 1
    assert f"in use by process {terminal.process.pid}" in second.stderr
    assert "--data" in second.stderr


@pytest.mark.long
@pytest.mark.parametrize("name", ["gateway-1", "worker-2"])
def test_a_killed_process_is_restarted(terminal: ClusterTerminal, name: str) -> None:
    """At the same address, with a line in the terminal."""
    kind, number = name.split("-")
    url = terminal.places(f"{kind}s")[int(number) - 1].removesuffix("/metrics")
    killed = terminal.pid(name)
    os.kill(killed, signal.SIGKILL)
    wait_until("a new process in its place", lambda: f"{kind} {number} is up again" in terminal.text, 300)
    assert terminal.pid(name) != killed
    wait_until("it to be ready", lambda: is_ready(url))
    assert f"{kind} {number} ended (by signal 9, SIGKILL) and is restarted" in terminal.text


@pytest.mark.long
def test_the_next_start_has_all_data_and_no_process_stays_behind(runtime: KafkaInstallation) -> None:
    """After Ctrl-C and after kill -9; also without PostgreSQL."""
    with passable_folder() as data:
        with started(data, "--gateways=1", "--workers=1", **NO_POSTGRESQL) as first:
            assert "the ledger is in SQLite, not PostgreSQL: PostgreSQL is missing; to get it: apt-get" in first.text
            assert first.first_key is not None
            meter, post, usage_query = first.commands
            (first_url,) = first.places("gateways")
            assert pasted(meter)["meter"]["code"] == "tokens"
            assert pasted(post)["accepted"] == 1
            wait_until("the event to be counted", lambda: bool(pasted(usage_query)["usage"]))
            pids = first.pids()
            assert len(pids) == 1 + 2 * 4
            assert all(map(is_running, pids))
            assert first.end(signal.SIGINT) == 0
            assert not any(map(is_running, pids))
            assert first.text.endswith("everything has stopped\n")
        with started(data, "--gateways=1", "--workers=1") as second:
            assert second.first_key is None
            assert second.places("ledger")[0] == "sqlite3"
            (second_url,) = second.places("gateways")
            usage_query = usage_query.replace(first_url, second_url)
            wait_until("the partitions to be read again", lambda: bool(pasted(usage_query)["usage"]))
            assert [row["value"] for row in pasted(usage_query)["usage"]] == ["12.5"]
            pids = second.pids()
            second.end(signal.SIGKILL)
            wait_until("all processes to end", lambda: not any(map(is_running, pids)))


def test_missing_tools_and_invalid_settings_are_named_before_anything_starts(tmp_path: Path) -> None:
    """Java, with the way to install it; a taken port; an invalid setting."""
    without = run("cluster", "--data", str(tmp_path / "data"), PATH="", JAVA_HOME="")
    assert without.returncode == 1
    assert "Java is missing; to get it: install Java 17 or newer" in without.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken_port:
        port = str(taken_port.getsockname()[1])
        taken = run("cluster", "--data", str(tmp_path / "data"), TALLYHOUSE_PORT=port)
    assert taken.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in taken.stderr
    wrong = run("cluster", "--data", str(tmp_path / "data"), TALLYHOUSE_PARTITIONS="many")
    assert wrong.returncode == 2
    assert "TALLYHOUSE_PARTITIONS" in wrong.stderr
    assert [path.name for path in (tmp_path / "data").glob("*/running")] == []
