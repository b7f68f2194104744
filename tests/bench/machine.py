"""Facts about the machine that the figures were measured on."""

import os
import platform
from pathlib import Path
from typing import Any

import chdb
import pyarrow as pa


def facts(data: Path) -> dict[str, Any]:
    """Returns processor, memory, versions, and the directory of the data."""
    return {
        "processors": os.cpu_count(),
        "processor": _first("/proc/cpuinfo", "model name"),
        "memory": _first("/proc/meminfo", "MemTotal"),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "engine": chdb.__version__,
        "pyarrow": pa.__version__,
        "data": str(data),
        "load_average_before": os.getloadavg(),
    }


def peak_memory(pid: int) -> int:
    """Returns the process's peak of resident bytes. Raises LookupError if the process has ended."""
    return int(_first(f"/proc/{pid}/status", "VmHWM").split()[0]) * 1024


def _first(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        if line.startswith(name):
            return line.split(":", 1)[1].strip()
    raise LookupError(f"{path} has no {name}")
