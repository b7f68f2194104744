"""A cluster end to end: real processes, a real broker, the store over HTTP."""

import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from tests import load_generator
from tests.server_process import KEY, free_port, wait_until
from tests.tallyhouse.cluster.installation import CHECK, ClusterProcess, Installation, is_ready, metric_sum

EVENTS = 20_000


def get(gateway: ClusterProcess, path: str) -> dict[str, object]:
    answer = httpx.get(f"{gateway.url}{path}", headers={"Authorization": f"Bearer {KEY}"}, timeout=30)
    assert answer.status_code == 200, answer.text
    report: dict[str, object] = answer.json()
    return report


def lag(gateway: ClusterProcess) -> int:
    status = get(gateway, "/v1/status")["status"]
    assert isinstance(status, dict)
    frames: int = status["lag_frames"]
    return frames


def free_pair() -> int:
    """A free port that is followed by another free port."""
    while True:
        first = free_port()
        try:
            with socket.create_server(("127.0.0.1", first + 1)):
                return first
        except OSError:
            continue


def children_of(process: int) -> Sequence[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def is_running(process: int) -> bool:
    """False for a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.long
def test_a_gateway_and_a_worker_count_exactly(installation: Installation) -> None:
    """Events with repeats: every value of the usage equals what was sent; both processes stop cleanly."""
    installation.prepare()
    with installation.gateway() as gateway, installation.worker() as worker:
        report = load_generator.load(gateway.url, events=EVENTS)
        assert report["acked"] == EVENTS
        assert report["duplicates"] > 0
        assert metric_sum(worker.url, "flush_events_total") >= report["different_events"]
        assert gateway.stop() == 0
        assert worker.stop() == 0
        assert "Traceback" not in gateway.output() + worker.output()


@pytest.mark.long
def test_a_worker_continues_where_a_killed_one_ended(installation: Installation) -> None:
    """Events wait in the log for a worker, and the gateway calculates the lag from store and log alone."""
    installation.prepare()
    with installation.gateway() as gateway:
        load_generator.only_send(gateway.url, events=1000)
        assert lag(gateway) > 0
        with installation.worker() as worker:
            sending = load_generator.start(gateway.url, f"--events={EVENTS}", "--rate=5000", "--seed=2")
            wait_until("some events to be counted", lambda: metric_sum(worker.url, "flush_events_total") > 4000)
            worker.kill()
        with installation.worker() as worker:
            assert load_generator.finish(sending)["acked"] == EVENTS
            status = get(gateway, "/v1/status")["status"]
            assert isinstance(status, dict)
            assert status["lag_frames"] == 0
            assert {partition["state"] for partition in status["partitions"]} == {"counting"}


@pytest.mark.long
def test_several_processes_share_a_port(installation: Installation) -> None:
    """A killed process is replaced under load; each process has its own metrics; none outlives its parent."""
    installation.prepare()
    first = free_pair()
    with (
        installation.worker(),
        installation.gateway(GATEWAY_WORKERS="2", METRICS_PORT=str(first)) as gateway,
    ):
        own = [f"http://127.0.0.1:{first + number}" for number in range(2)]
        wait_until("both processes to be ready", lambda: all(map(is_ready, own)))
        sending = load_generator.start(gateway.url, f"--events={EVENTS}", "--rate=5000", "--connections=16")
        wait_until("both to accept events", lambda: all(metric_sum(url, "ingest_events_total") > 100 for url in own))
        killed, *_ = children_of(gateway.pid)
        os.kill(killed, signal.SIGKILL)
        assert load_generator.finish(sending)["acked"] == EVENTS
        wait_until("a new process in its place", lambda: all(map(is_ready, own)))
        children = children_of(gateway.pid)
        assert killed not in children
        gateway.kill()
        wait_until("its children to end", lambda: not any(map(is_running, children)))


@pytest.mark.long
def test_several_processes_stop_together(installation: Installation) -> None:
    """A signal to the parent stops all; an error that keeps one from starting ends all."""
    installation.prepare()
    with installation.gateway(GATEWAY_WORKERS="2", METRICS_PORT="0") as gateway:
        children = children_of(gateway.pid)
        assert gateway.stop() == 0
        assert not any(map(is_running, children))
    wrong = installation.run("gateway", GATEWAY_WORKERS="2", METRICS_PORT=str(free_port()), PARTITIONS="5", PORT="0")
    assert wrong.returncode == 1
    assert "has 4 partitions, TALLYHOUSE_PARTITIONS says 5" in wrong.stderr


@pytest.mark.long
def test_gateways_and_workers_do_not_migrate(installation: Installation) -> None:
    """Each command names the step that must precede it; every step may be repeated."""
    steps = [["gateway", *CHECK], ["worker"], ["migrate", *CHECK]]
    for words in steps:
        run = installation.run(*words, CONNECT_TIMEOUT="1s", PORT="0", METRICS_PORT="0")
        assert run.returncode in (1, 2)
        assert "`tallyhouse topics create`" in run.stderr
    assert installation.run("topics", "create").returncode == 0
    assert installation.run("migrate", *CHECK).returncode == 0
    run = installation.run("gateway", CONNECT_TIMEOUT="1s", PORT="0", METRICS_PORT="0")
    assert run.returncode == 1
    assert "run `tallyhouse migrate` first" in run.stderr
    installation.prepare()
    for words in (["worker", *CHECK], ["topics", "check"]):
        assert installation.run(*words).returncode == 0


@pytest.mark.long
def test_another_number_of_partitions_is_refused(installation: Installation) -> None:
    installation.prepare()
    for words in (["topics", "create"], ["migrate"], ["gateway"]):
        run = installation.run(*words, PARTITIONS="8", PORT="0", METRICS_PORT="0")
        assert run.returncode == 1
        assert "fixed for the life of the data" in run.stderr
        assert "Traceback" not in run.stderr


@pytest.mark.long
def test_the_first_key_is_made_once(installation: Installation) -> None:
    """Printed on a line of its own, for scripts; a ledger with keys stays unchanged."""
    installation.settings["BOOTSTRAP_API_KEY"] = ""
    assert "run `tallyhouse migrate`" in installation.run("keys", "bootstrap").stderr
    installation.prepare()
    made = installation.run("keys", "bootstrap")
    assert made.returncode == 0
    assert made.stdout.startswith("ak_live_")
    again = installation.run("keys", "bootstrap")
    assert (again.returncode, again.stdout) == (1, "")
    with installation.gateway() as gateway:
        key = {"Authorization": f"Bearer {made.stdout.strip()}"}
        assert httpx.get(f"{gateway.url}/v1/keys", headers=key, timeout=10).status_code == 200


@pytest.mark.long
def test_the_key_that_is_set_is_installed_by_migrate(installation: Installation, tmp_path: Path) -> None:
    """Also from a file; the key is never printed."""
    del installation.settings["BOOTSTRAP_API_KEY"]
    (tmp_path / "key").write_text(f"{KEY}\n")
    assert installation.run("topics", "create").returncode == 0
    first, second = (installation.run("migrate", BOOTSTRAP_API_KEY_FILE=str(tmp_path / "key")) for _ in range(2))
    assert "the first admin key is installed" in first.stdout
    assert "the ledger has keys already" in second.stdout
    assert KEY not in first.stdout + first.stderr + second.stdout
