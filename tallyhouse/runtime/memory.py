"""Configures memory: freed memory stays in the process, in one heap, and the garbage collector skips what is set up.

Batches allocate and free a few megabytes many times a second. Returning them to the system each time, which zeroes
them again, took a tenth of all processor time; a heap for each thread took a fifth more memory.
"""

import ctypes
import gc
import sys
from importlib.abc import MetaPathFinder

import pyarrow as pa

_GC_THRESHOLDS = (50_000, 20, 100)
"""Objects of a batch are freed by their reference counts, so frequent searches for cycles are wasted."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Parameters of mallopt(3)."""


def configure_allocator() -> None:
    """Call it at the start of a process, before any thread starts."""
    _keep_freed_memory()
    _initialize_pyarrow()


def _keep_freed_memory() -> None:
    pa.set_memory_pool(pa.system_memory_pool())
    # Only the GNU C library has mallopt.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)
        mallopt(_MMAP_THRESHOLD, 32 * 1024 * 1024)
        mallopt(_TRIM_THRESHOLD, 1024 * 1024 * 1024)


def _initialize_pyarrow() -> None:
    # With its first array pyarrow imports pandas if it is installed: 40 MB that this program does not use, and a
    # tenth of a second in the middle of a request. It looks only once, so here it must not find pandas.
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
    """Exempts all present objects from garbage collection. Call it once everything is set up."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
