"""A usage store in a process of its own, which tests reach over HTTP and may kill."""

import re
import selectors
import subprocess
import sys
from pathlib import Path
from typing import IO

from stream_processors.backends.sql.clickhouse_http import ServerAddress
from tests.killable_process import KillableProcess

START_SECONDS = 60


class StoreProcess(KillableProcess):
    """Keeps its directory and its port over restarts."""

    def __init__(self, path: Path, module: str = "stream_processors.clickhouse_server") -> None:
        super().__init__()
        self._path = path
        self._module = module
        self._port = 0

    @property
    def address(self) -> ServerAddress:
        return ServerAddress(host="127.0.0.1", port=self._port)

    def launch(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", self._module]
        arguments = ["--path", str(self._path), "--port", str(self._port)]
        process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        line = _first_line(process.stdout)
        listening = re.search(r"port (\d+)", line)
        assert listening, f"the store process says {line!r} and not where it listens"
        self._port = int(listening[1])
        return process


def _first_line(stream: IO[str]) -> str:
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        assert selector.select(START_SECONDS), "the store process is silent"
    return stream.readline()
