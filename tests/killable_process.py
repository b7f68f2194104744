"""A program of ours in a process of its own, ended as a power cut would end it."""

import signal
import subprocess
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Self


class KillableProcess(ABC):
    """Runs from entering to leaving; may be killed and started again in between."""

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
        """No time for anything."""
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
        """The process, ready for what the test wants of it."""
