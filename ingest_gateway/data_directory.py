"""The data directory: what lies where in it, and a lock so that one process alone uses it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from schemas.errors import Conflict, Misconfigured


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

    def keep_key(self, token: str) -> None:
        """Readable by nobody but the owner, from the first byte on."""
        with os.fdopen(os.open(self.key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(f"{token}\n")

    @property
    def _lock(self) -> Path:
        return self.path / "lock"

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Made if need be, and ours until the end; the system gives it back even if we are killed."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = self._lock.open("a+")
        except OSError as error:
            raise Misconfigured([f"the data directory {self.path} cannot be used: {error.strerror}"]) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.seek(0)
                owner = lock.read().strip() or "unknown"
                raise Conflict(
                    f"the data directory {self.path.absolute()} is in use by process {owner}: stop it first, "
                    f"or name another directory with {self.setting}"
                ) from None
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            yield
