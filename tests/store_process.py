"""A usage store in a process of its own, that tests speak to over HTTP and may kill."""

import re
import selectors
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from stream_processors.backends.sql.http import ServerAddress

START_SECONDS = 60


class StoreProcess:
    """Keeps its directory and its port over restarts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._port = 0
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def address(self) -> ServerAddress:
        return ServerAddress(host="127.0.0.1", port=self._port)

    def start(self) -> None:
        command = [sys.executable, "-m", "stream_processors.endpoint"]
        arguments = ["--path", str(self._path), "--port", str(self._port)]
        self._process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = _first_line(self._process.stdout)
        told = re.search(r"port (\d+)", line)
        assert told, f"the store process says {line!r} and not where it listens"
        self._port = int(told[1])

    def kill(self) -> None:
        """As a power cut would end it: no time for anything."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.wait()
        self._process.stdout.close()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


def _first_line(stream: IO[str]) -> str:
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        assert selector.select(START_SECONDS), "the store process is silent"
    return stream.readline()
