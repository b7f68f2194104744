"""The engine's threads have the lowest priority."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tallyhouse.embedded.priorities import ENGINE_NICENESS, WORKER_NICENESS
from tests.server_process import ServerProcess, wait_until


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="this system does not show its threads")
def test_the_gateway_goes_first_and_the_engine_last(tmp_path: Path) -> None:
    """The engine's threads are nicer than the worker's others, and the worker is in the batch class.

    Gateway and worker share one session, because niceness may only count within a session.
    """
    own = os.getpriority(os.PRIO_PROCESS, 0)
    worker = own + WORKER_NICENESS
    engine = worker + ENGINE_NICENESS
    with ServerProcess(tmp_path / "data") as server:

        def engine_threads() -> set[str]:
            return {name for name, niceness in _threads(server.worker) if niceness == engine}

        wait_until("the engine's threads to have a lower priority", lambda: "MergeMutate" in engine_threads())
        assert {niceness for _, niceness in _threads(server.pid)} == {own}
        assert dict(_threads(server.worker))[_name(server.worker, server.worker)] == worker
        assert {niceness for _, niceness in _threads(server.worker)} == {worker, engine}
        assert _schedulers(server.worker) == {os.SCHED_BATCH}
        assert _schedulers(server.pid) == {os.sched_getscheduler(0)}
        assert os.getsid(server.worker) == os.getsid(server.pid)
        server.stop()


def _threads(process: int) -> Iterator[tuple[str, int]]:
    """Name and niceness of each thread. Some threads end meanwhile."""
    for entry in Path(f"/proc/{process}/task").iterdir():
        with suppress(OSError):
            yield _name(process, int(entry.name)), os.getpriority(os.PRIO_PROCESS, int(entry.name))


def _schedulers(process: int) -> set[int]:
    found = set()
    for entry in Path(f"/proc/{process}/task").iterdir():
        with suppress(OSError):
            found.add(os.sched_getscheduler(int(entry.name)))
    return found


def _name(process: int, thread: int) -> str:
    return Path(f"/proc/{process}/task/{thread}/comm").read_text().strip()
