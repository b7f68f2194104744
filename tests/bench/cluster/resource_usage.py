"""What processes have spent so far: processor time and memory, with those of their children."""

import os
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from tests.bench.machine import peak_memory

_TICKS = os.sysconf("SC_CLK_TCK")
_USER, _OF_CHILDREN = 11, 15
"""Of the fields after the name: user, system, and both of children that have ended."""
_LOOK_SECONDS = 0.5


class ResourceUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Processor seconds so far, and the most bytes that were ever resident."""

    seconds: float
    peak_memory: int


def resource_usage(pids: Iterable[int]) -> ResourceUsage:
    """Of all these processes together."""
    everyone = [each for pid in pids for each in _family(pid)]
    return ResourceUsage(seconds=sum(map(cpu_seconds, everyone)), peak_memory=sum(map(peak_memory, everyone)))


def cpu_seconds(pid: int) -> float:
    """Of one process, and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[_USER:_OF_CHILDREN])) / _TICKS


def machine_seconds() -> float:
    """Processor time of everything on this machine, the kernel's own included, idling and waiting not."""
    user, nice, system, _idle, _waiting, irq, soft_irq = _total_ticks()
    return (user + nice + system + irq + soft_irq) / _TICKS


def watched(process: subprocess.Popen[str]) -> ResourceUsage:
    """What a program has spent when it ends; it is left to be waited for."""
    peak = 0
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        with suppress(LookupError):  # It ended a moment ago.
            peak = peak_memory(process.pid)
        time.sleep(_LOOK_SECONDS)
    return ResourceUsage(seconds=cpu_seconds(process.pid), peak_memory=peak)


def since(before: Mapping[str, ResourceUsage], after: Mapping[str, ResourceUsage]) -> dict[str, ResourceUsage]:
    """What each has spent in between; the memory is that of its whole life."""
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
