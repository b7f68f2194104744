"""`tallyhouse serve` in a terminal: what it prints, the commands to copy, and Ctrl-C."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.server_process import PATIENCE, free_port, wait_until
from tests.skips import skip_without

COMMAND = re.compile(r"^  curl .*(?:\n    .*)*", re.MULTILINE)
STARTED = re.compile(r"Tallyhouse is counting at (\S+), data in .*\n(?:.*\n)*?.*/docs.*\n")
FIRST_KEY = re.compile(r"^  (ak_live_\S+)$", re.MULTILINE)


class ServeTerminal:
    """`tallyhouse serve` in a terminal, with only the data directory and the port set."""

    def __init__(self, process: subprocess.Popen[bytes], shown: Path) -> None:
        self._process = process
        self._shown = shown

    @property
    def text(self) -> str:
        return self._shown.read_text()

    @property
    def commands(self) -> list[str]:
        """The commands that create a meter, post an event, and query the usage."""
        return COMMAND.findall(self.text)

    @property
    def first_key(self) -> str | None:
        found = FIRST_KEY.search(self.text)
        return found[1] if found else None

    @property
    def url(self) -> str:
        started = STARTED.search(self.text)
        assert started is not None, self.text
        return started[1]

    def is_up(self) -> bool:
        assert self._process.poll() is None, f"the server ended: {self.text}"
        return STARTED.search(self.text) is not None

    def interrupt(self) -> int:
        """Sends Ctrl-C; returns the exit code."""
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(PATIENCE)

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE)


@contextmanager
def serve_terminal(data: Path, shown: Path) -> Iterator[ServeTerminal]:
    """Starts `tallyhouse serve` on a free port, and yields when the welcome is in the file `shown`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLYHOUSE_")}
    environment |= {"TALLYHOUSE_DATA_DIR": str(data), "TALLYHOUSE_PORT": str(free_port())}
    with shown.open("wb") as screen:
        program = [str(Path(sys.executable).parent / "tallyhouse"), "serve"]
        terminal = ServeTerminal(subprocess.Popen(program, env=environment, stdout=screen, stderr=screen), shown)
    try:
        wait_until("the welcome", terminal.is_up)
        yield terminal
    finally:
        terminal.end()


def pasted(command: str) -> dict[str, Any]:
    """Runs a shell command; returns the successful JSON response that it prints."""
    if shutil.which("curl") is None:
        skip_without("curl", "install the package `curl`")
    run = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(run.stdout)
    assert answer["success"], answer
    return answer
