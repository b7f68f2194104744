"""What every process of a cluster begins with: its settings, its log lines, the memory it keeps."""

import os
import sys
import time

from tallyhouse.runtime import memory
from tallyhouse.runtime.cluster_settings import ClusterSettings
from tallyhouse.runtime.context import Runtime
from tallyhouse.runtime.environment import read_cluster_settings
from tallyhouse.runtime.logs import build_logger, forward_stdlib
from tallyhouse.runtime.prometheus import PrometheusMetrics


def start_process() -> tuple[ClusterSettings, Runtime]:
    """Raises Misconfigured with every mistake, before anything is opened."""
    settings = read_cluster_settings(os.environ)
    logger = build_logger(log_format=settings.log_format, level=settings.log_level, stream=sys.stderr, clock=now)
    forward_stdlib(logger)
    memory.configure_allocator()
    return settings, Runtime(clock=now, logger=logger, metrics=PrometheusMetrics())


def now() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000
