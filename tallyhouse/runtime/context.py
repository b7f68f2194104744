"""What a process is handed from outside: the time, and where its words and numbers go."""

from collections.abc import Callable

import msgspec

from schemas.logger import Logger
from tallyhouse.runtime.prometheus import PrometheusMetrics


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """Time, and where words and numbers go."""

    clock: Callable[[], int]
    logger: Logger
    metrics: PrometheusMetrics
