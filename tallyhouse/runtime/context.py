"""The clock, the logger and the metrics that every part of a process receives."""

from collections.abc import Callable

import msgspec

from schemas.logger import Logger
from tallyhouse.runtime.prometheus import PrometheusMetrics


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """The clock (microseconds since 1970), the logger and the metrics of a process."""

    clock: Callable[[], int]
    logger: Logger
    metrics: PrometheusMetrics
