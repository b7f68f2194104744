"""What every process of a cluster begins with: its settings, its log lines, the memory it keeps."""

import os
import sys
import time

from ingest_gateway import memory
from ingest_gateway.cluster.settings import ClusterSettings
from ingest_gateway.environment import read_cluster_settings
from ingest_gateway.logs import build_logger, forward_stdlib
from ingest_gateway.prometheus import PrometheusMetrics
from ingest_gateway.surroundings import Surroundings


def begin() -> tuple[ClusterSettings, Surroundings]:
    """Raises Misconfigured with every mistake, before anything is opened."""
    settings = read_cluster_settings(os.environ)
    logger = build_logger(log_format=settings.log_format, level=settings.log_level, stream=sys.stderr, clock=now)
    forward_stdlib(logger)
    memory.prepare()
    return settings, Surroundings(clock=now, logger=logger, metrics=PrometheusMetrics())


def now() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000
