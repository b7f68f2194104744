"""The data directory: its layout, and the lock by which a single process owns it."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import msgspec

from schemas.errors import Conflict, Misconfigured
from tallyhouse.runtime.clock import monotonic, sleep

_POLL_SECONDS = 0.02


class DataDirectory(msgspec.Struct, frozen=True):
    """The paths of everything that is stored."""

    path: Path
    setting: str = "TALLYHOUSE_DATA_DIR"
    """The setting that names another directory, for error messages."""
    orphan_wait_seconds: float = 30.0
    """How long a start waits for the children of an owner that has died."""

    @property
    def log(self) -> Path:
        return self.path / "log.sqlite"

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.sqlite"

    @property
    def ledger_url(self) -> str:
        return f"sqlite:///{self.ledger.absolute()}"

    @property
    def store(self) -> Path:
        return self.path / "store"

    @property
    def folders(self) -> Sequence[Path]:
        """Every folder in which stored files lie: the directory, and where links in it lead."""
        targets = [entry.resolve() for entry in self.path.iterdir() if entry.is_symlink()]
        linked = [target if target.is_dir() else target.parent for target in targets]
        return [self.path, *(folder for folder in linked if folder.is_dir())]

    @property
    def key_file(self) -> Path:
        return self.path / "api_key"

    def write_key_file(self, token: str) -> None:
        """Writes the key into a file that only its owner can read, from the first byte on."""
        with os.fdopen(os.open(self.key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(f"{token}\n")

    @property
    def _lock(self) -> Path:
        return self.path / "lock"

    @contextmanager
    def hold_lock(self) -> Iterator[int]:
        """Creates the directory if it is missing, and locks it until the exit or the end of the process.

        Yields the lock's descriptor: a child process that inherits it holds the lock too. Raises Misconfigured if
        the directory cannot be used, and Conflict if another process owns it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = self._lock.open("a+")
        except OSError as error:
            raise Misconfigured([f"the data directory {self.path} cannot be used: {error.strerror}"]) from error
        with lock:
            self._acquire(lock)
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            yield lock.fileno()

    def _acquire(self, lock: TextIO) -> None:
        # Children of an owner that has died still hold the lock for a moment. They end by themselves.
        until = monotonic() + self.orphan_wait_seconds
        while True:
            try:
                return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.seek(0)
                owner = lock.read().strip() or "unknown"
            alive = _is_alive(owner)
            if alive or monotonic() > until:
                orphan = "" if alive else ", or by one that it started and that still runs or is suspended"
                raise Conflict(
                    f"the data directory {self.path.absolute()} is in use by process {owner}{orphan}: stop it first, "
                    f"or name another directory with {self.setting}"
                )
            sleep(_POLL_SECONDS)


def _is_alive(process: str) -> bool:
    if not process.isdecimal():
        return True
    try:
        os.kill(int(process), 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)
    return int(process) != os.getpid()  # Process numbers are reused: ours may have been the dead owner's.
