"""CPU time and memory of processes, including their children."""

import os
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from tests.bench.machine import peak_memory

_TICKS = os.sysconf("SC_CLK_TCK")
_CPU_FIELDS = slice(11, 15)
"""Among the fields after the name: user and system time, and both of children that have ended."""
_POLL_SECONDS = 0.5


class ResourceUsage(msgspec.Struct, frozen=True, kw_only=True):
    """CPU seconds so far, and the peak of resident bytes."""

    seconds: float
    peak_memory: int


def resource_usage(pids: Iterable[int]) -> ResourceUsage:
    """Returns the sums over the processes and their running children."""
    family = [each for pid in pids for each in _family(pid)]
    return ResourceUsage(seconds=sum(map(cpu_seconds, family)), peak_memory=sum(map(peak_memory, family)))


def cpu_seconds(pid: int) -> float:
    """Returns the CPU time of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[_CPU_FIELDS])) / _TICKS


def machine_seconds() -> float:
    """Returns the CPU time of the whole machine, including the kernel, without idle and I/O wait."""
    user, nice, system, _idle, _waiting, irq, soft_irq = _total_ticks()
    return (user + nice + system + irq + soft_irq) / _TICKS


def resource_usage_at_end(process: subprocess.Popen[str]) -> ResourceUsage:
    """Returns the usage when the process ends; the caller still has to wait for the process."""
    peak = 0
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        with suppress(LookupError):  # The process has just ended.
            peak = peak_memory(process.pid)
        time.sleep(_POLL_SECONDS)
    return ResourceUsage(seconds=cpu_seconds(process.pid), peak_memory=peak)


def since(before: Mapping[str, ResourceUsage], after: Mapping[str, ResourceUsage]) -> dict[str, ResourceUsage]:
    """Returns the CPU time between two measurements; the memory is the peak of the whole life."""
    return {
        name: ResourceUsage(seconds=now.seconds - before[name].seconds, peak_memory=now.peak_memory)
        for name, now in after.items()
    }


def _family(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from _family(int(child))


def _total_ticks() -> list[int]:
    return [int(ticks) for ticks in Path("/proc/stat").read_text().splitlines()[0].split()[1:8]]
