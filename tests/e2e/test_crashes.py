"""Processes killed at random, many times, while producers post: every acked event is counted once."""

import itertools
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.retrying_producers import Producers
from tests.server_process import ServerProcess, wait_until

pytestmark = pytest.mark.long

KILLS = 14
WORKER_KILLS = 6


@pytest.mark.slow
def test_every_acked_event_is_counted_once_after_kills_of_the_whole_server(tmp_path: Path) -> None:
    """While three producers post: usage, raw events and acked events agree exactly."""
    chance = random.Random(7)
    with ServerProcess(tmp_path / "data", flush_linger="50ms", partitions="3") as server:
        server.make_meter("tokens", "$.tokens")
        producers = Producers(server)
        with producers.posting():
            for kill in itertools.count():
                # Without retries after kills, and batches that were given up, nothing would be proved.
                if kill >= KILLS and producers.retried >= KILLS and producers.have_given_up:
                    break
                producers.wait_for_progress()
                time.sleep(chance.random() * 0.5)
                server.kill()
                server.start()
                if kill == KILLS // 2:
                    server.make_meter("requests")
            producers.wait_for_repeats(KILLS)
        producers.assert_exact()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="this system does not show its processes")
def test_every_acked_event_is_counted_once_after_kills_of_the_worker(tmp_path: Path) -> None:
    """Producers never have to retry: the gateway takes events in while the worker is down."""
    chance = random.Random(7)
    with ServerProcess(tmp_path / "data", flush_linger="50ms", partitions="3") as server:
        server.make_meter("tokens", "$.tokens")
        producers = Producers(server)
        with producers.posting():
            for kill in range(WORKER_KILLS):
                wait_until("a worker", lambda: server.client.get("/readyz").status_code == 200)
                time.sleep(chance.random() * 0.5)
                killed = server.worker
                os.kill(killed, signal.SIGKILL)
                wait_until("the loss to be noticed", lambda: _other_worker(server, killed))  # noqa: B023
                if kill == WORKER_KILLS // 2:
                    server.make_meter("requests")
            producers.wait_for_repeats(WORKER_KILLS)
        producers.assert_exact()
        assert not producers.retried


def _other_worker(server: ServerProcess, killed: int) -> bool:
    try:
        return server.worker != killed
    except LookupError:
        return False
