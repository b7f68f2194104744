"""A background program, shared by all processes that hold its folder, and stopped with the last of them."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from pwd import struct_passwd
from typing import NamedTuple

from schemas.errors import TallyhouseError
from tallyhouse.local import watchdog
from tallyhouse.runtime.clock import monotonic, sleep

POLL_SECONDS = 0.02
END_SECONDS = watchdog.GRACE + 10


class ProgramFailed(TallyhouseError):
    """A program failed to start or to stop; the message names its log."""


class Pids(NamedTuple):
    """The process ids of the watchdog and of the program."""

    watchdog: int
    program: int


class BackgroundProgram:
    """The program of one folder. While it is open, the folder is held and a started program keeps running."""

    def __init__(
        self,
        folder: Path,
        *,
        log: Path | None = None,
        stop: signal.Signals = signal.SIGTERM,
        user: struct_passwd | None = None,
    ) -> None:
        """`stop` is the signal that ends the program; `user` runs it, or None for the current user."""
        self._folder = folder
        self._log = log or folder / "log"
        self._stop = stop
        self._user = "-" if user is None else f"{user.pw_uid}:{user.pw_gid}"
        self._held = -1

    def open(self) -> None:
        """Holds the folder. Waits until a program that no process held any more has ended."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._held = _open_lock_file(self._folder / "held")
        fcntl.flock(self._held, fcntl.LOCK_SH)

    def close(self) -> None:
        """Releases the folder. The last process to do so stops the program and waits for its end."""
        # Without an exclusive lock, other processes hold the folder, or the watchdog has it and ends the program.
        if _lock(self._held, fcntl.LOCK_EX) or not _lock(self._held, fcntl.LOCK_SH):
            self.end()
        os.close(self._held)

    @property
    def log(self) -> Path:
        """The output of the program, of all its starts."""
        return self._log

    @contextmanager
    def hold_start_lock(self) -> Iterator[None]:
        """Lets one process at a time check whether the program runs, and start it."""
        lock = _open_lock_file(self._folder / "starting")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def start(self, command: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
        """Starts the program, which must not be running. Raises ProgramFailed if it cannot be started."""
        arguments = (str(self._folder / "held"), str(self._state_file), str(self._stop.value), self._user)
        watched = (sys.executable, "-I", "-S", watchdog.__file__, *arguments, *command)
        with self.log.open("ab") as log:
            done = subprocess.run(  # noqa: S603 ours
                watched, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ, check=False
            )
        if done.returncode:
            raise ProgramFailed(f"{command[0]} could not be started; {self.log} says why")

    def pids(self) -> Pids | None:
        """The processes to send signals to; None if the program does not run."""
        # The pids in an old file may belong to other processes by now: they are valid only under the watchdog's lock.
        state, is_running = self._read_state()
        return Pids(*map(int, state.split())) if is_running and state[:1].isdigit() else None

    @property
    def exit_code(self) -> int | None:
        """The exit code of the last run; None while the program runs, or if its watchdog was killed."""
        state, _ = self._read_state()
        return int(state.removeprefix(watchdog.ENDED)) if state.startswith(watchdog.ENDED) else None

    def _read_state(self) -> tuple[bytes, bool]:
        """The watchdog's state file, and whether the watchdog runs."""
        if not self._state_file.exists():
            return b"", False
        state_file = _open_lock_file(self._state_file)
        try:
            is_running = not _lock(state_file, fcntl.LOCK_SH)
            return os.pread(state_file, 100, 0), is_running
        finally:
            os.close(state_file)

    def signal(self, number: signal.Signals) -> None:
        """Sends the program a signal, if it runs."""
        if pids := self.pids():
            with suppress(ProcessLookupError):
                os.kill(pids.program, number)

    def request_stop(self) -> None:
        """Asks the watchdog to end the program; does not wait."""
        if pids := self.pids():
            with suppress(ProcessLookupError):
                os.kill(pids.watchdog, signal.SIGTERM)

    def end(self) -> None:
        """Stops the program; kills it if it does not end in time."""
        self.request_stop()
        if not self._wait_until_gone(END_SECONDS):
            self.kill()

    def kill(self) -> None:
        """Kills the program, as in a crash, and waits for its end. Raises ProgramFailed."""
        self.signal(signal.SIGKILL)
        if not self._wait_until_gone(END_SECONDS):
            raise ProgramFailed(f"the program of {self._folder} cannot be killed")

    def _wait_until_gone(self, seconds: float) -> bool:
        deadline = monotonic() + seconds
        while self.pids() is not None:
            if monotonic() > deadline:
                return False
            sleep(POLL_SECONDS)
        return True

    @property
    def _state_file(self) -> Path:
        return self._folder / "running"


def _open_lock_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _lock(file: int, kind: int) -> bool:
    """Tries to lock without waiting; returns whether that succeeded."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


Notify = Callable[[str], None]
"""Prints a line about progress."""


class ToolMissing(TallyhouseError):
    """A required third-party program is not installed; the message says how to get it."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what} is missing; to get it: {remedy}")
        self.what = what
        self.remedy = remedy
