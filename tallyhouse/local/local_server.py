"""A server on this machine, which runs until the last process that has it open closes it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tallyhouse.local.background_program import BackgroundProgram, ProgramFailed
from tallyhouse.runtime.clock import monotonic, sleep

START_SECONDS = 180
_POLL_SECONDS = 0.05
_SHOWN = 10


class LocalServer(ABC):
    """As a context manager: starts the server and waits until it serves, or shares one that runs already."""

    def __init__(self, name: str, program: BackgroundProgram) -> None:
        self.name = name
        self._program = program

    def __enter__(self) -> Self:
        self.open()
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def log(self) -> Path:
        """The server's output, of all its starts."""
        return self._program.log

    @property
    def pid(self) -> int | None:
        """The server's process; None if it does not run."""
        pids = self._program.pids()
        return None if pids is None else pids.program

    @property
    def exit_code(self) -> int | None:
        """The exit code of the last run; None if it is unknown."""
        return self._program.exit_code

    def open(self) -> None:
        """Holds the server: once started, it keeps running at least until `close`."""
        self._program.open()

    def close(self) -> None:
        """Releases the server. The last process to do so stops the server and waits for its end."""
        self._program.close()

    def start(self) -> None:
        """Starts the server and waits until it serves; does nothing if it runs. Raises ProgramFailed."""
        with self._program.hold_start_lock():
            if not self._program.pids():
                self._start_program()

    def request_stop(self) -> None:
        """Asks the server to stop, also if other processes have it open; does not wait."""
        self._program.request_stop()

    def stop(self) -> None:
        """Stops the server, also if other processes have it open."""
        self._program.end()

    def kill(self) -> None:
        """Kills the server, as in a crash."""
        self._program.kill()

    @abstractmethod
    def _start_program(self) -> None:
        """Starts the server, which does not run, and waits until it serves."""

    @abstractmethod
    def _is_serving(self) -> bool:
        """True once the server answers its clients."""

    def _launch(self, command: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
        """Runs the command until it serves. Raises ProgramFailed with the errors in its log."""
        log_size = self.log.stat().st_size if self.log.exists() else 0
        self._program.start(command, environ)
        deadline = monotonic() + START_SECONDS
        while not self._is_serving():
            if self._program.pids() is None:
                raise ProgramFailed(f"{self.name} ended while it started: {self._error_lines(log_size)}")
            if monotonic() > deadline:
                self._program.kill()
                raise ProgramFailed(
                    f"{self.name} does not answer after {START_SECONDS} s: {self._error_lines(log_size)}"
                )
            sleep(_POLL_SECONDS)

    def _error_lines(self, log_size: int) -> str:
        """The last error lines in the log since `log_size`."""
        lines = self.log.read_bytes()[log_size:].decode(errors="replace").splitlines()
        errors = [line for line in lines if self._is_error_line(line)] or lines
        return "\n".join([*errors[-_SHOWN:], f"(the whole log: {self.log})"])

    def _is_error_line(self, line: str) -> bool:  # noqa: ARG002 - overridden where logs are long
        """True for the lines of the log that an error message shows."""
        return True
