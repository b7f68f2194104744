"""Tunable limits of a cluster worker: its group membership, its fetches and its buffers."""

import msgspec

from stream_processors.backends.log.buffered import BUFFER_BYTES
from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.log.policy import MEBIBYTE


class StreamSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a cluster worker, the same for every worker of the group."""

    cluster: KafkaCluster
    topic: str
    group: str = "tallyhouse-workers"
    """Workers of one group share the partitions. Its committed offsets only say where to read from: the store knows
    which frames are counted."""
    session_seconds: float = 6.0
    """A worker without a heartbeat for this long loses its partitions. Brokers refuse less than their
    `group.min.session.timeout.ms`, which is 6 seconds by default."""
    heartbeat_seconds: float = 1.5
    commit_seconds: float = 1.0
    """How often offsets are committed to the group."""
    fetch_bytes: int = MEBIBYTE
    """The most bytes of one partition per fetch, which may come on top of a full buffer."""
    fetch_frames: int = 500
    """The most frames handed over at a time, so that a pause takes effect soon."""
    buffer_bytes: int = BUFFER_BYTES
    """How many payload bytes of one partition the worker buffers."""
    revoke_seconds: float = 2.0
    """How long running flushes may continue after a revocation."""
    stop_seconds: float = 10.0
    """How long a stop waits for Faust before its consumer thread is aborted."""
