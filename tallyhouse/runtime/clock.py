"""The wall clock in microseconds since 1970."""

import time


def now() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000
