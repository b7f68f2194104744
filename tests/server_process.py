"""A `tallyhouse serve` process that a test starts, queries and kills; and waiting for conditions."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

ROOT = Path(__file__).resolve().parent.parent
SERVE = ("tallyhouse", "serve")
KEY = "ak_live_endtoendtestendtoendtestendtoend00"
PATIENCE = 180.0
LONGEST_PAUSE = 0.2


def wait_until(what: str, condition: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Polls a condition. Raises AssertionError with `what` when the timeout in seconds has passed."""
    deadline, pause = time.monotonic() + patience, 0.02
    while not condition():
        assert time.monotonic() < deadline, f"waited {patience:.0f} s for {what}"
        time.sleep(pause)
        # Frequent polls would slow down what the test waits for.
        pause = min(1.2 * pause, LONGEST_PAUSE)


def free_port() -> int:
    """Returns a free port below those of outgoing connections, so that none of these takes it before the test."""
    while True:
        port = random.SystemRandom().randrange(12_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class GatewayClient:
    """A client of a gateway's API; a status other than the expected one fails the test."""

    def __init__(self, url: str, key: str = KEY) -> None:
        self.url = url
        self.client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.client.close()

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        answer = self.client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def post(self, path: str, body: Any, expect: int = 200) -> dict[str, Any]:
        answer = self.client.post(path, json=body)
        assert answer.status_code == expect, answer.text
        response: dict[str, Any] = answer.json()
        return response

    def wait_until_counted(self) -> None:
        """Waits until no partition has a lag."""

        def counted() -> bool:
            partitions = self.get("/v1/status")["status"]["partitions"]
            return all(partition["lag_frames"] == 0 for partition in partitions)

        wait_until("all frames to be counted", counted)

    def usage(self, meter: str, since: timedelta = timedelta(hours=3)) -> dict[str, Decimal]:
        """Returns the usage by customer, from `since` before now until an hour after now."""
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        between = {"from": (now - since).isoformat(), "to": (now + timedelta(hours=1)).isoformat()}
        answer = self.get("/v1/usage", meter=meter, window="none", **between)
        return {row["customer_id"]: Decimal(row["value"]) for row in answer["usage"]}

    def total(self, meter: str) -> Decimal:
        return sum(self.usage(meter).values(), Decimal(0))

    def make_meter(self, code: str, value_property: str | None = None) -> None:
        """Creates a count, or a sum if a value property is given."""
        meter = {"code": code, "name": code, "event_name": "api.request"}
        aggregation = (
            {"aggregation": "sum", "value_property": value_property} if value_property else {"aggregation": "count"}
        )
        self.post("/v1/meters", meter | aggregation, expect=201)

    def events(self) -> Iterator[dict[str, Any]]:
        """Yields all raw events, page by page."""
        cursor: dict[str, str] = {}
        while True:
            response = self.get("/v1/events", limit=1000, **cursor)
            yield from response["events"]
            if not response["pagination"]["has_more"]:
                return
            cursor = {"cursor": response["pagination"]["next_cursor"]}


class ServerProcess(GatewayClient):
    """`tallyhouse serve` on a data directory that outlives the process."""

    def __init__(self, data: Path, *, program: Sequence[str] = SERVE, **settings: str) -> None:
        self.data = data
        self._program = program
        self.port = free_port()
        super().__init__(f"http://127.0.0.1:{self.port}")
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.launch()
        wait_until("the server to be ready", self._ready)

    def launch(self) -> None:
        """Starts the process, which may never become ready."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLYHOUSE_")}
        environment |= {
            "TALLYHOUSE_HOST": "127.0.0.1",
            "TALLYHOUSE_PORT": str(self.port),
            "TALLYHOUSE_DATA_DIR": str(self.data),
            "TALLYHOUSE_BOOTSTRAP_API_KEY": KEY,
            "TALLYHOUSE_LOG_FORMAT": "json",
            "TALLYHOUSE_API_RATE_LIMIT": "0",
        }
        environment |= {f"TALLYHOUSE_{name.upper()}": value for name, value in self._settings.items()}
        self.data.parent.mkdir(parents=True, exist_ok=True)
        with (self.data.parent / f"{self.data.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._program], env=environment, cwd=ROOT, stdout=log, stderr=log
            )

    @contextmanager
    def launched(self) -> Iterator[Self]:
        """Starts the process without waiting, and kills it at the end."""
        self.launch()
        try:
            yield self
        finally:
            self.__exit__(None, None, None)

    @property
    def has_ended(self) -> bool:
        assert self._process is not None
        return self._process.poll() is not None

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the server ended: {self.output()[-2000:]}"
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def worker(self) -> int:
        """The worker's process id. Raises LookupError while there is no worker."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        if not children:
            raise LookupError("no worker")
        return int(children[0])

    def output(self) -> str:
        return (self.data.parent / f"{self.data.name}.log").read_text()

    def kill(self) -> None:
        """Kills with -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Stops with SIGTERM; returns the exit code."""
        return self._end(signal.SIGTERM)

    def interrupt(self) -> int:
        """Sends SIGINT to both processes, as Ctrl-C in a terminal does; returns the exit code."""
        os.kill(self.worker, signal.SIGINT)
        return self._end(signal.SIGINT)

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(PATIENCE)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
        super().__exit__(kind, error, at)
