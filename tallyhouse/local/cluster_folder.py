"""The folder of a local cluster: its layout, and the lock that lets one command at a time use it."""

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
    """The paths in the folder."""

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
        """The first admin key."""
        return self._directory.key_file

    def write_key_file(self, token: str) -> None:
        """Writes the first key, readable by its owner alone."""
        self._directory.write_key_file(token)

    def process_folder(self, name: str) -> Path:
        """The folder with the locks of a gateway or worker."""
        return self.path / "processes" / name

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def log_of(self, name: str) -> Path:
        """The output of a process, of all its starts."""
        return self.logs / f"{name}.log"

    def store_port(self, rng: Random) -> int:
        """The usage store's port, chosen at the first start and then kept."""
        file = self.path / "store-port"
        if not file.exists():
            file.write_text(f"{free_port(rng)}\n")
        return int(file.read_text())

    @contextmanager
    def hold_lock(self) -> Iterator[None]:
        """Makes the folder and locks it; the kernel releases the lock even if the process is killed."""
        with self._directory.hold_lock():
            if not os.geteuid():
                # PostgreSQL refuses to run as root: the user that runs it must be able to reach its folder.
                self.path.chmod(self.path.stat().st_mode | 0o011)
            self.logs.mkdir(exist_ok=True, mode=0o700)
            yield

    @property
    def _directory(self) -> DataDirectory:
        return DataDirectory(self.path, setting="--data")


class LedgerChoice(StrEnum):
    """The choice of the ledger's database; `best` is PostgreSQL if it is installed."""

    BEST = "best"
    POSTGRESQL = "postgresql"
    SQLITE = "sqlite"
