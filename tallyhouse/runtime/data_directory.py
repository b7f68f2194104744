"""The data directory: what lies where in it, and a lock so that one process alone uses it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import msgspec

from schemas.errors import Conflict, Misconfigured

_ORPHAN_WAIT_SECONDS = 30.0
_POLL_SECONDS = 0.02


class DataDirectory(msgspec.Struct, frozen=True):
    """Everything that is kept, by place."""

    path: Path
    setting: str = "TALLYHOUSE_DATA_DIR"
    """What names another one."""

    @property
    def log(self) -> Path:
        return self.path / "log.sqlite"

    @property
    def ledger_url(self) -> str:
        return f"sqlite:///{(self.path / 'ledger.sqlite').absolute()}"

    @property
    def store(self) -> Path:
        return self.path / "store"

    @property
    def key_file(self) -> Path:
        return self.path / "api_key"

    def write_key_file(self, token: str) -> None:
        """Readable by nobody but the owner, from the first byte on."""
        with os.fdopen(os.open(self.key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(f"{token}\n")

    @property
    def _lock(self) -> Path:
        return self.path / "lock"

    @contextmanager
    def hold_lock(self) -> Iterator[int]:
        """Made if need be, and ours until the end; the system gives it back even if we are killed.

        The descriptor is for whoever works in it for us: until he is gone too, nobody else gets it.
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
        """Waits for those who worked for an owner that is dead: they end by themselves, and soon."""
        until = time.monotonic() + _ORPHAN_WAIT_SECONDS
        while True:
            try:
                return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.seek(0)
                owner = lock.read().strip() or "unknown"
            if _is_alive(owner) or time.monotonic() > until:
                raise Conflict(
                    f"the data directory {self.path.absolute()} is in use by process {owner}: stop it first, "
                    f"or name another directory with {self.setting}"
                )
            time.sleep(_POLL_SECONDS)


def _is_alive(process: str) -> bool:
    if not process.isdecimal():
        return True
    try:
        os.kill(int(process), 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)
    return int(process) != os.getpid()  # Where numbers begin anew, ours may have been its.
