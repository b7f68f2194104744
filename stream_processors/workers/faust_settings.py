"""What may be tuned about a worker's membership in its group, and how much it holds."""

import msgspec

from stream_processors.backends.log.buffered import BUFFER_BYTES
from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.log.policy import MEBIBYTE


class StreamSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Frozen, and the same for every worker of the group."""

    cluster: KafkaCluster
    topic: str
    group: str = "tallyhouse-workers"
    """Workers of one group share the partitions. Its committed offsets only tell where to read from: the store knows
    what is counted."""
    session_seconds: float = 6.0
    """A worker that is not heard of for so long loses its partitions. Brokers refuse less than their
    `group.min.session.timeout.ms`, 6 seconds unless set otherwise."""
    heartbeat_seconds: float = 1.5
    commit_seconds: float = 1.0
    """How often the group is told what is counted."""
    fetch_bytes: int = MEBIBYTE
    """How much of one partition one fetch brings: comes on top of a full buffer."""
    fetch_frames: int = 500
    """How many frames are handed over at a time, so that a partition that is told to pause does."""
    buffer_bytes: int = BUFFER_BYTES
    """How many payload bytes of one partition the worker buffers."""
    revoke_seconds: float = 2.0
    """How long the running flushes may go on after their partitions were revoked."""
    stop_seconds: float = 10.0
    """How long a stop waits for Faust; then the process may end all the same."""
