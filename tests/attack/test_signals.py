"""Each process is stopped, continued and killed at random while the disk hangs and slows down: each acked event counts
once."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.stalled_server import SLOW, STALLED
from tests.retrying_producers import Producers
from tests.server_process import ServerProcess, wait_until

ACTS = 12
LONGEST_STOP = 3.0
"""Seconds. A worker that is silent for five is reported, and a gateway that is stopped answers nobody."""


class Attacker:
    """What may happen to a server, in an order that the seed decides."""

    def __init__(self, server: ServerProcess, seed: int) -> None:
        self._server = server
        self._chance = random.Random(seed)
        self.acts: Counter[str] = Counter()

    def act(self) -> None:
        """One act, to its end."""
        acts: list[Callable[[], None]] = [
            self.stop_worker,
            self.stop_gateway,
            self.stop_both_and_kill,
            self.kill_worker,
            self.kill_gateway,
            self.kill_worker_while_it_is_stopped,
            self.hang_disk,
            self.slow_disk,
        ]
        act = self._chance.choice(acts)
        act()
        self.acts[act.__name__] += 1

    def stop_worker(self) -> None:
        self._stop(self._server.worker)

    def stop_gateway(self) -> None:
        self._stop(self._server.pid)

    def stop_both_and_kill(self) -> None:
        os.kill(self._server.worker, signal.SIGSTOP)
        os.kill(self._server.pid, signal.SIGSTOP)
        self._pause()
        self.kill_gateway()

    def kill_worker(self) -> None:
        os.kill(self._server.worker, signal.SIGKILL)

    def kill_gateway(self) -> None:
        self._server.kill()
        self._server.start()

    def kill_worker_while_it_is_stopped(self) -> None:
        worker = self._server.worker
        self._stop(worker)
        os.kill(worker, signal.SIGKILL)

    def hang_disk(self) -> None:
        self._with_file(STALLED)

    def slow_disk(self) -> None:
        self._with_file(SLOW)

    def _with_file(self, name: str) -> None:
        sign = self._server.data / name
        sign.touch()
        self._pause()
        sign.unlink()

    def _stop(self, process: int) -> None:
        os.kill(process, signal.SIGSTOP)
        try:
            self._pause()
        finally:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)

    def _pause(self) -> None:
        time.sleep(self._chance.uniform(0, LONGEST_STOP))


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_each_acked_event_counts_once_whatever_is_stopped_or_killed(tmp_path: Path, seed: int) -> None:
    """Usage, raw events and acked events agree exactly, and the server is ready in the end."""
    with ServerProcess(tmp_path / "data", program=("tests.e2e.stalled_server",), flush_linger="50ms") as server:
        server.make_meter("tokens", "$.tokens")
        producers, attacker = Producers(server), Attacker(server, seed)
        with producers.posting():
            for number in range(ACTS):
                wait_until("readiness", lambda: server.client.get("/readyz").status_code == 200)
                producers.wait_for_progress()
                attacker.act()
                if number == ACTS // 2:
                    wait_until("readiness", lambda: server.client.get("/readyz").status_code == 200)
                    server.make_meter("requests")
            producers.wait_for_repeats(1)
        producers.assert_exact()
        wait_until("readiness", lambda: server.client.get("/readyz").status_code == 200)
        print(f"{producers.acked} acked events, {producers.retried} batches retried, {dict(attacker.acts)}")
