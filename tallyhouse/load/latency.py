"""A latency histogram with buckets that grow by two percent: constant memory, percentiles within two percent."""

import math

import numpy as np

_FIRST = 1e-5
_GROWTH = math.log(1.02)
_BUCKETS = 1000
"""From 10 µs to well over an hour."""


class Latencies:
    """A histogram of seconds."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BUCKETS, dtype=np.int64)

    def add(self, seconds: float) -> None:
        place = int(math.log(max(seconds, _FIRST) / _FIRST) / _GROWTH) + 1
        self._counts[min(place, _BUCKETS - 1)] += 1

    def __len__(self) -> int:
        return int(self._counts.sum())

    def percentile(self, percent: float) -> float:
        """The percentile in seconds, up to two percent too high; 0 without samples."""
        total = len(self)
        if not total:
            return 0.0
        place = int(np.searchsorted(np.cumsum(self._counts), math.ceil(total * percent / 100)))
        return _FIRST * math.exp(_GROWTH * place)
