"""Scheduling priorities on a machine with few processors: the gateway first, then the counting, last the engine.

The threads of the store's engine never hold Python's interpreter lock. At equal priority, such a thread takes the
processor from a Python thread that does hold the lock, and every request that waits for the lock then waits for a merge
of the engine. A thread with a higher niceness and the batch scheduling class has a smaller share of a processor and
never preempts another thread: it runs when the other one pauses.
"""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

WORKER_NICENESS = 10
"""On top of the gateway's: a tenth of its weight, so that requests are answered before events are counted."""
ENGINE_NICENESS = 5
"""On top of the worker's: a thirtieth of the gateway's weight. An idle machine still runs the engine at full speed."""
_POLL_SECONDS = 5.0
"""The engine starts threads as it needs them, so new ones are looked for at this interval."""
_THREADS = Path("/proc/self/task")


@asynccontextmanager
async def lower_engine_priority(seconds: float = _POLL_SECONDS) -> AsyncIterator[None]:
    """Lowers the priority of the engine's threads while it is open. Without effect on a system without /proc."""
    looking = asyncio.create_task(_lower_new_threads(seconds))
    try:
        yield
    finally:
        looking.cancel()


async def _lower_new_threads(seconds: float) -> None:
    known: set[int] = set()
    niceness = os.getpriority(os.PRIO_PROCESS, 0) + ENGINE_NICENESS
    while True:
        threads = _threads()
        for thread in _engine_threads(threads - known):
            _set_niceness(thread, niceness)
        known = threads
        await asyncio.sleep(seconds)


def lower_priority(by: int) -> None:
    """Raises the niceness of this process's threads by `by`. Threads started later inherit it."""
    niceness = os.getpriority(os.PRIO_PROCESS, 0) + by
    for thread in _threads() or {0}:
        _set_niceness(thread, niceness)


def _threads() -> set[int]:
    return {int(entry.name) for entry in _THREADS.iterdir()} if _THREADS.is_dir() else set()


def _set_niceness(thread: int, niceness: int) -> None:
    # The thread may have ended meanwhile. Where the system forbids the change, all threads keep equal priority.
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, niceness)
        if sys.platform == "linux":
            os.sched_setscheduler(thread, os.SCHED_BATCH, os.sched_param(0))


def _engine_threads(threads: set[int]) -> Iterator[int]:
    # Python did not start them, and they have a name of their own. Threads of other libraries, for which Python may
    # wait, bear the process's name.
    others = threads - {thread.native_id for thread in threading.enumerate()}
    name = _name(os.getpid())
    return (thread for thread in others if _name(thread) not in ("", name))


def _name(thread: int) -> str:
    """Returns the thread's name; empty if it has ended."""
    with suppress(OSError):
        return (_THREADS / str(thread) / "comm").read_text().strip()
    return ""
