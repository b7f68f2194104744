"""Who goes first where processors are few: the store's engine stands back, so that no request waits for its merges.

The engine's threads never hold the interpreter. Without this, one of them takes the processor from a thread that does,
and everybody who waits for that one waits for the merge. Who stands back has a smaller share of a processor, and takes
it from nobody: it waits until the one that runs has had its turn.
"""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

WORKER_NICENESS = 10
"""A tenth of the gateway's weight: who waits for an answer goes first, and then the counting."""
ENGINE_NICENESS = 5
"""On top of the worker's: a thirtieth. Where nothing else is to be done the engine still has the whole machine."""
_POLL_SECONDS = 5.0
"""The engine starts threads as it needs them."""
_THREADS = Path("/proc/self/task")


@asynccontextmanager
async def lower_engine_priority(seconds: float = _POLL_SECONDS) -> AsyncIterator[None]:
    """While it is open. Where a system does not show its threads, nothing is done."""
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
    """All threads that there are so far, and with them all that they start."""
    niceness = os.getpriority(os.PRIO_PROCESS, 0) + by
    for thread in _threads() or {0}:
        _set_niceness(thread, niceness)


def _threads() -> set[int]:
    return {int(entry.name) for entry in _THREADS.iterdir()} if _THREADS.is_dir() else set()


def _set_niceness(thread: int, niceness: int) -> None:
    with suppress(OSError):  # It may have ended meanwhile; and where this is forbidden, all go on as equals.
        os.setpriority(os.PRIO_PROCESS, thread, niceness)
        if sys.platform == "linux":
            os.sched_setscheduler(thread, os.SCHED_BATCH, os.sched_param(0))


def _engine_threads(threads: set[int]) -> Iterator[int]:
    """Those that Python did not start, nor a library for which Python waits: those have the process's own name."""
    others = threads - {thread.native_id for thread in threading.enumerate()}
    name = _name(os.getpid())
    return (thread for thread in others if _name(thread) not in ("", name))


def _name(thread: int) -> str:
    """Empty where it has ended."""
    with suppress(OSError):
        return (_THREADS / str(thread) / "comm").read_text().strip()
    return ""
