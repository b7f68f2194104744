"""A program in the background, shared by all processes that hold its folder, and ended with the last of them."""

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
    """A program did not do what it was started for; the message says where its log is."""


class Pids(NamedTuple):
    """Who runs: the one that watches, and the program itself."""

    watchdog: int
    program: int


class BackgroundProgram:
    """The program of one folder. Opened, it is held: it runs on at least until it is closed again."""

    def __init__(
        self,
        folder: Path,
        *,
        log: Path | None = None,
        stop: signal.Signals = signal.SIGTERM,
        user: struct_passwd | None = None,
    ) -> None:
        """It is asked to end by the signal `stop`, and runs as `user` where that is not whoever starts it."""
        self._folder = folder
        self._log = log or folder / "log"
        self._stop = stop
        self._user = "-" if user is None else f"{user.pw_uid}:{user.pw_gid}"
        self._held = -1

    def open(self) -> None:
        """Hold the folder; waits while a program that nobody held any more is on its way out."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._held = _open_lock_file(self._folder / "held")
        fcntl.flock(self._held, fcntl.LOCK_SH)

    def close(self) -> None:
        """Let go; the last one out stays until the program has ended."""
        # Not to get the file alone means that others hold it, or that the keeper was quicker and ends the program.
        if _lock(self._held, fcntl.LOCK_EX) or not _lock(self._held, fcntl.LOCK_SH):
            self.end()
        os.close(self._held)

    @property
    def log(self) -> Path:
        """Everything the program has said, of all its starts."""
        return self._log

    @contextmanager
    def hold_start_lock(self) -> Iterator[None]:
        """One process at a time may decide whether the program must be started."""
        lock = _open_lock_file(self._folder / "starting")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def start(self, command: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
        """Start the program, with our environment unless another is given; it must not be running."""
        manner = (str(self._folder / "held"), str(self._state_file), str(self._stop.value), self._user)
        watched = (sys.executable, "-I", "-S", watchdog.__file__, *manner, *command)
        with self.log.open("ab") as log:
            done = subprocess.run(  # noqa: S603 ours
                watched, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ, check=False
            )
        if done.returncode:
            raise ProgramFailed(f"{command[0]} could not be started; {self.log} says why")

    def pids(self) -> Pids | None:
        """Whom to send signals to; nothing when the program does not run."""
        # An old file's pids may be anybody's by now: they count only under the keeper's lock.
        state, is_running = self._read_state()
        return Pids(*map(int, state.split())) if is_running and state[:1].isdigit() else None

    @property
    def exit_code(self) -> int | None:
        """With which it ended the last time; nothing while it runs, or where its keeper was killed."""
        state, _ = self._read_state()
        return int(state.removeprefix(watchdog.ENDED)) if state.startswith(watchdog.ENDED) else None

    def _read_state(self) -> tuple[bytes, bool]:
        """What the keeper wrote, and whether it is there."""
        if not self._state_file.exists():
            return b"", False
        state_file = _open_lock_file(self._state_file)
        try:
            is_running = not _lock(state_file, fcntl.LOCK_SH)
            return os.pread(state_file, 100, 0), is_running
        finally:
            os.close(state_file)

    def signal(self, number: signal.Signals) -> None:
        """Send the program a signal, if it runs."""
        if pids := self.pids():
            with suppress(ProcessLookupError):
                os.kill(pids.program, number)

    def request_stop(self) -> None:
        """Nobody waits for it."""
        if pids := self.pids():
            with suppress(ProcessLookupError):
                os.kill(pids.watchdog, signal.SIGTERM)

    def end(self) -> None:
        """Ask the program to end; when it does not, make it."""
        self.request_stop()
        if not self._wait_until_gone(END_SECONDS):
            self.kill()

    def kill(self) -> None:
        """End the program as a crash would, and see it gone."""
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
    """Whether the lock could be had at once."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


Notify = Callable[[str], None]
"""Where progress is told."""


class ToolMissing(TallyhouseError):
    """A program that is not ours is needed, and is not there."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what} is missing; to get it: {remedy}")
        self.what = what
        self.remedy = remedy
