"""The start of every serving process: it configures logs, memory and thread switching, and makes its `Runtime`."""

import sys
from collections.abc import Callable

import msgspec

from schemas.logger import Logger
from tallyhouse.runtime import memory
from tallyhouse.runtime.clock import now
from tallyhouse.runtime.logs import build_logger, forward_stdlib
from tallyhouse.runtime.prometheus import PrometheusMetrics
from tallyhouse.runtime.settings import ServiceSettings

_SHORT_SWITCH_SECONDS = 0.001


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """The clock (microseconds since 1970), the logger and the metrics of a process."""

    clock: Callable[[], int]
    logger: Logger
    metrics: PrometheusMetrics


def prepare_process(settings: ServiceSettings, *, short_switches: bool = False) -> Logger:
    """Configures the process, before any thread starts, and returns its logger, which writes to standard error.

    With `short_switches`, a thread holds the interpreter for a millisecond at most while another one waits for it: a
    fifth of Python's default.
    """
    logger = build_logger(log_format=settings.log_format, level=settings.log_level, stream=sys.stderr, clock=now)
    forward_stdlib(logger)
    if short_switches:
        sys.setswitchinterval(_SHORT_SWITCH_SECONDS)
    memory.configure_allocator()
    return logger
