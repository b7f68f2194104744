"""`tallyhouse cluster` in a terminal: its output and its processes."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.server_process import PATIENCE, ROOT, wait_until

READY = "Ctrl-C stops everything"
COMMAND = re.compile(r"^  curl .*(?:\n    .*)*", re.MULTILINE)
FIRST_KEY = re.compile(r"^  (ak_live_\S+)$", re.MULTILINE)

_START_SECONDS = 5 * PATIENCE
"""Seven programs start slowly on a machine that runs other tests."""


def environment(**settings: str) -> dict[str, str]:
    """The environment without Tallyhouse's settings, and with free ports."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TALLYHOUSE_")}
    return clean | {"TALLYHOUSE_PORT": "0", "TALLYHOUSE_METRICS_PORT": "0"} | settings


class ClusterTerminal:
    """One start of the command."""

    def __init__(self, process: subprocess.Popen[bytes], data: Path, shown: Path) -> None:
        self.process = process
        self.data = data
        self._shown = shown

    @property
    def text(self) -> str:
        return self._shown.read_text()

    @property
    def commands(self) -> Sequence[str]:
        """The printed commands: make a meter, post an event, query the usage."""
        return COMMAND.findall(self.text)

    @property
    def first_key(self) -> str | None:
        found = FIRST_KEY.search(self.text)
        return found[1] if found else None

    def places(self, what: str) -> Sequence[str]:
        """The words after `what`, in the list of addresses."""
        found = re.search(rf"^  {what} +(.*)$", self.text, re.MULTILINE)
        assert found is not None, self.text
        return found[1].replace(",", "").split()

    def is_up(self) -> bool:
        assert self.process.poll() is None, f"it ended: {self.text}"
        return READY in self.text

    def pid(self, name: str) -> int:
        """The pid of the running program."""
        return int((self._mark(name)).read_text().split()[1])

    def pids(self) -> Sequence[int]:
        """The pids of the command, the programs, and their watchdogs."""
        marks = [*self.data.glob("*/running"), *self.data.glob("processes/*/running")]
        return [self.process.pid, *(int(pid) for mark in marks for pid in mark.read_text().split())]

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(PATIENCE * 2)

    def _mark(self, name: str) -> Path:
        return self.data / "processes" / name / "running"


@contextmanager
def started(data: Path, *words: str, **settings: str) -> Iterator[ClusterTerminal]:
    """A started cluster, stopped afterwards."""
    shown = data.parent / "shown"
    with shown.open("wb") as screen:
        process = subprocess.Popen(
            [sys.executable, "-m", "tallyhouse", "cluster", "--data", str(data), *words],
            env=environment(**settings),
            cwd=ROOT,
            stdout=screen,
            stderr=screen,
        )
    terminal = ClusterTerminal(process, data, shown)
    try:
        wait_until("the cluster to be up", terminal.is_up, _START_SECONDS)
        yield terminal
    finally:
        if process.poll() is None:
            terminal.end(signal.SIGTERM)


def run(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "tallyhouse", *words],
        env=environment(**settings),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=10 * PATIENCE,
        check=False,
    )
