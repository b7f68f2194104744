"""The store's engine stands back behind everything that may hold the interpreter."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ingest_gateway.priorities import NICENESS
from tests.e2e.server import Server, wait_until


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="this system does not show its threads")
def test_only_the_engines_threads_stand_back(tmp_path: Path) -> None:
    """Of a server: those with a name of their own do, all others go first."""
    with Server(tmp_path / "data") as server:

        def stand_back() -> set[str]:
            return {name for name, niceness in _threads(server.pid) if niceness == NICENESS}

        wait_until("the engine to stand back", lambda: "MergeMutate" in stand_back())
        assert _name(server.pid, server.pid) not in stand_back()
        assert {niceness for _, niceness in _threads(server.pid)} == {os.getpriority(os.PRIO_PROCESS, 0), NICENESS}
        server.stop()


def _threads(process: int) -> Iterator[tuple[str, int]]:
    """Name and niceness of each; some end while they are looked at."""
    for entry in Path(f"/proc/{process}/task").iterdir():
        with suppress(OSError):
            yield _name(process, int(entry.name)), os.getpriority(os.PRIO_PROCESS, int(entry.name))


def _name(process: int, thread: int) -> str:
    return Path(f"/proc/{process}/task/{thread}/comm").read_text().strip()
