"""The clocks of every process: the only readers of the system's time in the program."""

import time

monotonic = time.monotonic
"""Seconds from an arbitrary start; never goes back. For deadlines and for progress shown to a person."""

timer = time.perf_counter
"""Seconds from an arbitrary start, at the highest resolution. For measured durations."""

sleep = time.sleep
"""Blocks the calling thread for a number of seconds."""


def now() -> int:
    """The wall clock, in microseconds since 1970."""
    return time.time_ns() // 1000
