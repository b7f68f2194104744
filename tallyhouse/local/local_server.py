"""A server on this machine: started, it is waited for until it serves; it ends with the last who has it open."""

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
    """Entered, it is started, or shared with the processes that have it open already."""

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
        """What it has said, in all its starts."""
        return self._program.log

    @property
    def pid(self) -> int | None:
        """Its process, while there is one."""
        pids = self._program.pids()
        return None if pids is None else pids.program

    @property
    def exit_code(self) -> int | None:
        """With which it ended the last time, where that is known."""
        return self._program.exit_code

    def open(self) -> None:
        """Hold it: once started it runs on at least until it is closed again."""
        self._program.open()

    def close(self) -> None:
        """Let go; the last one out stays until it has ended."""
        self._program.close()

    def start(self) -> None:
        """See it running and serving; it may be already."""
        with self._program.hold_start_lock():
            if not self._program.pids():
                self._start_program()

    def request_stop(self) -> None:
        """Cleanly, whoever else has it open; nobody waits for it."""
        self._program.request_stop()

    def stop(self) -> None:
        """End it cleanly, whoever else has it open."""
        self._program.end()

    def kill(self) -> None:
        """End it as a crash would."""
        self._program.kill()

    @abstractmethod
    def _start_program(self) -> None:
        """Start it and see it serve; it does not run."""

    @abstractmethod
    def _is_serving(self) -> bool:
        """Whether it does what it is there for."""

    def _launch(self, command: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
        """Raises ProgramFailed, with what it complained of."""
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
        """What it has complained of since it was started."""
        lines = self.log.read_bytes()[log_size:].decode(errors="replace").splitlines()
        trouble = [line for line in lines if self._is_error_line(line)] or lines
        return "\n".join([*trouble[-_SHOWN:], f"(all of it: {self.log})"])

    def _is_error_line(self, line: str) -> bool:  # noqa: ARG002 - for servers that say much
        """Which lines of its log are worth showing."""
        return True
