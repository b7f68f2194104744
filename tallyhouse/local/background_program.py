"""A program in the background, shared by all processes that hold its folder, and ended with the last of them."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from pwd import struct_passwd
from typing import NamedTuple

from schemas.errors import TallyhouseError
from tallyhouse.local import watchdog

POLL_SECONDS = 0.02
END_SECONDS = watchdog.GRACE + 10


class ProgramFailed(TallyhouseError):
    """A program did not do what it was started for; the message says where its log is."""


class Pids(NamedTuple):
    """Who runs: the one that watches, and the program itself."""

    keeper: int
    program: int


class KeptProgram:
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
        self._held = _opened(self._folder / "held")
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
    def alone(self) -> Iterator[None]:
        """One process at a time may decide whether the program must be started."""
        lock = _opened(self._folder / "starting")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def start(self, command: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
        """Start the program, with our environment unless another is given; it must not be running."""
        manner = (str(self._folder / "held"), str(self._mark), str(self._stop.value), self._user)
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
        told, is_running = self._told()
        return Pids(*map(int, told.split())) if is_running and told[:1].isdigit() else None

    @property
    def exit_code(self) -> int | None:
        """With which it ended the last time; nothing while it runs, or where its keeper was killed."""
        told, _ = self._told()
        return int(told.removeprefix(watchdog.ENDED)) if told.startswith(watchdog.ENDED) else None

    def _told(self) -> tuple[bytes, bool]:
        """What the keeper wrote, and whether it is there."""
        if not self._mark.exists():
            return b"", False
        mark = _opened(self._mark)
        try:
            is_running = not _lock(mark, fcntl.LOCK_SH)
            return os.pread(mark, 100, 0), is_running
        finally:
            os.close(mark)

    def signal(self, number: signal.Signals) -> None:
        """Send the program a signal, if it runs."""
        if pids := self.pids():
            with suppress(ProcessLookupError):
                os.kill(pids.program, number)

    def ask_to_end(self) -> None:
        """Nobody waits for it."""
        if pids := self.pids():
            with suppress(ProcessLookupError):
                os.kill(pids.keeper, signal.SIGTERM)

    def end(self) -> None:
        """Ask the program to end; when it does not, make it."""
        self.ask_to_end()
        if not self._gone_within(END_SECONDS):
            self.kill()

    def kill(self) -> None:
        """End the program as a crash would, and see it gone."""
        self.signal(signal.SIGKILL)
        if not self._gone_within(END_SECONDS):
            raise ProgramFailed(f"the program of {self._folder} cannot be killed")

    def _gone_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.pids() is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    @property
    def _mark(self) -> Path:
        return self._folder / "running"


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _lock(file: int, kind: int) -> bool:
    """Whether the lock could be had at once."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
