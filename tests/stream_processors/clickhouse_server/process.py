"""The server in another process: start it, send requests, kill it."""

import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import clickhouse_connect
import httpx

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 180.0


class ServerProcess:
    """`python -m stream_processors.clickhouse_server` on a directory that survives the process."""

    def __init__(self, path: Path, *options: str) -> None:
        self.path = path
        self._options = options
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self.end(signal.SIGKILL)

    def start(self) -> None:
        """Start the server, after a restart on the same port."""
        command = [sys.executable, "-m", "stream_processors.clickhouse_server", "--path", str(self.path)]
        self._process = subprocess.Popen(
            [*command, "--port", str(self.port), *self._options], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        assert said.startswith("listening on 127.0.0.1 port "), said
        self.port = int(said.split()[-1])

    def end(self, how: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(how)
        code = self._process.wait(PATIENCE)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def client(self, **options: Any) -> Any:
        """A client of clickhouse-connect."""
        return clickhouse_connect.get_client(
            host="127.0.0.1", port=self.port, **{"autogenerate_session_id": False, "query_retries": 0, **options}
        )

    def http(self, **options: Any) -> httpx.Client:
        """A plain HTTP client."""
        return httpx.Client(base_url=self.url, timeout=30, **options)
