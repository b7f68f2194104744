"""How this process holds memory: what it once had it keeps, in one heap, and the collector leaves what is there alone.

Batches ask for a few megabytes and give them back, many times a second. Handed to the system each time, and zeroed
by it again, they were a tenth of all work; spread over a heap for each thread, a fifth of the memory.
"""

import ctypes
import gc
import sys
from importlib.abc import MetaPathFinder

import pyarrow as pa

_GC_THRESHOLDS = (50_000, 20, 100)
"""Batches make many short-lived objects that die by reference count; looking for cycles in them is wasted."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Parameters of mallopt(3)."""


def configure_allocator() -> None:
    """At the beginning of a process, before any thread starts."""
    _keep_freed_memory()
    _initialize_pyarrow()


def _keep_freed_memory() -> None:
    """A C library without mallopt goes its own way."""
    pa.set_memory_pool(pa.system_memory_pool())
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)
        mallopt(_MMAP_THRESHOLD, 32 * 1024 * 1024)
        mallopt(_TRIM_THRESHOLD, 1024 * 1024 * 1024)


def _initialize_pyarrow() -> None:
    """With its first array pyarrow looks for pandas, once, and loads it where it is installed: 40 MB that nobody here
    uses, and a tenth of a second in the middle of a request. So it finds none.
    """
    hidden = _NoPandas()
    sys.meta_path.insert(0, hidden)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(hidden)


class _NoPandas(MetaPathFinder):
    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name, name=name)


def freeze_garbage_collector() -> None:
    """Once all is set up: what is there now stays, and the collector need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
