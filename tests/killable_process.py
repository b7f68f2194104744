"""A program in a process of its own that a test can kill with -9 and start again."""

import signal
import subprocess
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Self


class KillableProcess(ABC):
    """Starts on entering and is killed on leaving; a test may kill and start it in between."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[Any] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        self._process = self.launch()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """Kills with -9, and waits for the end."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    @abstractmethod
    def launch(self) -> subprocess.Popen[Any]:
        """Starts the process, and returns it when it is ready."""
