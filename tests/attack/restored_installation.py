"""A server whose log or store is replaced by an older copy between two starts."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.server_process import ROOT, ServerProcess

LOG_FILES = "log.sqlite*"
AT = datetime.now(UTC).isoformat()


class RestoredInstallation(ServerProcess):
    """Posts events with numbers as keys, and counts them with one meter."""

    def post_numbered(self, first: int, count: int, batch: int = 5) -> None:
        for start in range(first, first + count, batch):
            event = {"event_name": "api.request", "customer_id": "acme", "timestamp": AT, "properties": {}}
            events = [event | {"idempotency_key": str(number)} for number in range(start, start + batch)]
            self.post("/v1/events/ingest", {"events": events})

    def count_numbered(self, first: int, count: int) -> None:
        """Starts, posts, waits until all is counted, and stops."""
        self.start()
        if first == 0:
            self.make_meter("calls")
        self.post_numbered(first, count)
        self.wait_until_counted()
        assert self.stop() == 0

    def copy_log(self, to: Path) -> None:
        to.mkdir()
        for file in self.data.glob(LOG_FILES):
            shutil.copy2(file, to / file.name)

    def restore_log(self, backup: Path) -> None:
        for file in self.data.glob(LOG_FILES):
            file.unlink()
        for file in backup.glob(LOG_FILES):
            shutil.copy2(file, self.data / file.name)

    def restore_store(self, backup: Path) -> None:
        shutil.rmtree(self.data / "store")
        shutil.copytree(backup, self.data / "store", symlinks=True)

    def refused_start(self) -> str:
        """What a start prints that refuses. A traceback may only be a field of a log line."""
        before = len(self.output())
        with pytest.raises(AssertionError, match="the server ended"):
            self.start()
        said = self.output()[before:]
        assert not any("Traceback" in line for line in said.splitlines() if not line.startswith("{"))
        return said

    def log_command(self, command: str) -> tuple[int, Sequence[str]]:
        """The exit code and the lines of `tallyhouse log COMMAND`."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TALLYHOUSE_")}
        run = subprocess.run(
            [sys.executable, "-m", "tallyhouse", "log", command],
            env=clean | {"TALLYHOUSE_DATA_DIR": str(self.data)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in run.stderr, run.stderr
        return run.returncode, [*run.stdout.splitlines(), *run.stderr.splitlines()]

    def keys_counted(self) -> set[str]:
        return {event["idempotency_key"] for event in self.events()}
