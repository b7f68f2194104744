"""Timeouts, batch sizes and memory limits of the log on Kafka."""

import msgspec

from stream_processors.backends.log.policy import MEBIBYTE

FRAME_BYTES = 20_000_000
"""The size of the largest frame: the intake groups at most 16 MB of bodies, and adds little to each event."""


class KafkaPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one process's clients. The defaults suit one cluster in one place."""

    append_seconds: float = 5.0
    """An append that is not acknowledged within this time is refused."""
    in_flight_bytes: int = 64 * MEBIBYTE
    """Payload bytes in flight to the brokers; at this limit appends are refused."""
    batch_bytes: int = MEBIBYTE
    """The size of a batch of one partition; a larger frame is sent alone."""
    linger_ms: int = 0
    """How long a batch waits for more frames. The intake has already grouped them."""
    compression: str | None = None
    """Payloads are already compressed; a second compression costs time and gains little."""
    call_seconds: float = 5.0
    """A request to the brokers that makes no progress for this long has failed."""
    fetch_bytes: int = MEBIBYTE
    """The size of one fetch. Up to three times as much is in memory for each partition that is read."""
    poll_seconds: float = 0.025
    """How often the end of a partition is fetched while a caller waits for it."""
