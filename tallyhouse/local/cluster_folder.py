"""The folder of a cluster on this machine: what lies where in it, and a lock so that one command alone uses it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from random import Random

import msgspec

from tallyhouse.local.kafka_node import free_port
from tallyhouse.runtime.data_directory import DataDirectory


class ClusterFolder(msgspec.Struct, frozen=True):
    """Everything that is kept, by place."""

    path: Path

    @property
    def kafka(self) -> Path:
        return self.path / "kafka"

    @property
    def store(self) -> Path:
        return self.path / "store"

    @property
    def postgresql(self) -> Path:
        return self.path / "postgresql"

    @property
    def sqlite(self) -> Path:
        return self.path / "ledger.sqlite"

    @property
    def key_file(self) -> Path:
        """The first key, kept for who works on this machine."""
        return self._directory.key_file

    def write_key_file(self, token: str) -> None:
        """Readable by nobody but the owner."""
        self._directory.write_key_file(token)

    def process_folder(self, name: str) -> Path:
        """Where the locks of one of our processes are."""
        return self.path / "processes" / name

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def log_of(self, name: str) -> Path:
        """Everything that one of them has said, in all its starts."""
        return self.logs / f"{name}.log"

    def store_port(self, rng: Random) -> int:
        """Chosen once, so that the store's clients find it again."""
        file = self.path / "store-port"
        if not file.exists():
            file.write_text(f"{free_port(rng)}\n")
        return int(file.read_text())

    @contextmanager
    def hold_lock(self) -> Iterator[None]:
        """Made if need be, and ours until the end; the system gives it back even if we are killed."""
        with self._directory.hold_lock():
            if not os.geteuid():
                # Root cannot run PostgreSQL: another user does, who must get through to its own folder.
                self.path.chmod(self.path.stat().st_mode | 0o011)
            self.logs.mkdir(exist_ok=True, mode=0o700)
            yield

    @property
    def _directory(self) -> DataDirectory:
        return DataDirectory(self.path, setting="--data")


class LedgerChoice(StrEnum):
    """What a person may wish for."""

    BEST = "best"
    POSTGRESQL = "postgresql"
    SQLITE = "sqlite"
