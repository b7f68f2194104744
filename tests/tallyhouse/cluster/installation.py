"""A cluster of `tallyhouse` processes, started by its commands, on a broker and a store that tests share."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.server_process import KEY, PATIENCE, ROOT, free_port, wait_until

# One client for all requests, because a client is slow to create; each request has a new connection, because the
# process that answered the last one may have been killed.
_CLIENT = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0))


CHECK = ("--check", "--within", str(PATIENCE))
"""A check that a busy machine does not fail."""


class ClusterProcess:
    """One `tallyhouse` process, with a log file and the address of its health checks."""

    def __init__(self, words: list[str], environ: Mapping[str, str], log: Path, url: str) -> None:
        self.url = url
        self._words = words
        self._environ = environ
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, patience: float | None = PATIENCE) -> None:
        """Starts the process and waits until it is ready, unless there is no patience."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tallyhouse", *self._words],
                env=self._environ,
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        if patience is not None:
            wait_until(f"{self._words} to be ready", self._is_ready, patience)

    def _is_ready(self) -> bool:
        assert self.is_running, f"{self._words} ended: {self.output()[-3000:]}"
        return is_ready(self.url)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def resident_bytes(self) -> int:
        """The resident memory in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024

    def output(self) -> str:
        return self._log.read_text()

    def stop(self) -> int:
        """Terminates the process; returns its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Stops the process with SIGSTOP, as if its machine hung."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def _end(self, how: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(how)
        return self._process.wait(PATIENCE)


class Installation:
    """The settings of all processes of one cluster, and its commands."""

    def __init__(self, folder: Path, broker: str, topic: str, clickhouse: str, ledger: str) -> None:
        self._folder = folder
        self.settings = {
            "KAFKA_BROKERS": broker,
            "KAFKA_TOPIC": topic,
            "KAFKA_REPLICATION": "1",
            "KAFKA_MIN_INSYNC": "1",
            "WORKER_GROUP": topic,
            "CLICKHOUSE_URL": clickhouse,
            "CLICKHOUSE_DATABASE": f"cluster_{os.urandom(6).hex()}",
            "LEDGER_URL": ledger,
            "PARTITIONS": "4",
            "LOG_FORMAT": "json",
            "API_RATE_LIMIT": "0",
            "BOOTSTRAP_API_KEY": KEY,
        }

    def prepare(self) -> None:
        """Makes topic, tables and the first key."""
        for words in (["topics", "create"], ["migrate"]):
            run = self.run(*words)
            assert run.returncode == 0, run.stderr

    def run(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "tallyhouse", *words],
            env=self._environ(settings),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    @contextmanager
    def gateway(self, **settings: str) -> Iterator[ClusterProcess]:
        port = free_port()
        with self._program(["gateway"], port, {"PORT": str(port), **settings}) as gateway:
            yield gateway

    @contextmanager
    def worker(self, **settings: str) -> Iterator[ClusterProcess]:
        port = free_port()
        with self._program(["worker"], port, {"METRICS_PORT": str(port), **settings}) as worker:
            yield worker

    @contextmanager
    def worker_not_waited_for(self) -> Iterator[ClusterProcess]:
        """A worker that need not become ready, because its partitions may stop."""
        port = free_port()
        with self._program(["worker"], port, {"METRICS_PORT": str(port)}, patience=None) as worker:
            yield worker

    @contextmanager
    def _program(
        self, words: list[str], port: int, settings: Mapping[str, str], patience: float | None = PATIENCE
    ) -> Iterator[ClusterProcess]:
        log = self._folder / f"{words[0]}-{port}.log"
        program = ClusterProcess(words, self._environ(settings), log, f"http://127.0.0.1:{port}")
        try:
            program.start(patience)
            yield program
        finally:
            if program.is_running:
                program.kill()

    def _environ(self, settings: Mapping[str, str]) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TALLYHOUSE_")}
        return clean | {f"TALLYHOUSE_{name}": value for name, value in (self.settings | dict(settings)).items()}


def is_ready(url: str) -> bool:
    try:
        return _CLIENT.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def metric_sum(url: str, name: str, label: str = "") -> float:
    """The sum of a metric over its labels, or over those with this value."""
    lines = _CLIENT.get(f"{url}/metrics", timeout=PATIENCE).text.splitlines()
    found = [line for line in lines if line.split("{")[0].split(" ")[0] == f"tallyhouse_{name}"]
    return sum(float(line.split()[-1]) for line in found if not label or f'"{label}"' in line)
