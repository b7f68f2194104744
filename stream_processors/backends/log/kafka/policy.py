"""How the log on Kafka waits, batches and bounds itself."""

import msgspec

from stream_processors.backends.log.policy import MEBIBYTE

FRAME_BYTES = 20_000_000
"""No frame weighs more: the intake groups 16 MB of bodies at most, and what it adds to each event is small."""


class KafkaPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one process's clients. The defaults suit one cluster in one place."""

    append_seconds: float = 5.0
    """An append that is not acknowledged by then is refused."""
    in_flight_bytes: int = 64 * MEBIBYTE
    """Payload bytes on their way to the brokers; from there on producers are told to wait."""
    batch_bytes: int = MEBIBYTE
    """How much of one partition goes in one batch; one larger frame goes alone."""
    linger_ms: int = 0
    """Waiting for company before a batch is sent. The intake has gathered company already."""
    compression: str | None = None
    """Payloads are compressed already: doing it again costs time and gains nothing."""
    call_seconds: float = 5.0
    """A question to the brokers that makes no progress for so long has failed."""
    fetch_bytes: int = MEBIBYTE
    """How much one fetch brings. Up to three times as much is in memory for each partition that is read."""
    poll_seconds: float = 0.025
    """How often the ends of partitions that someone waits for are asked for."""
    commit_seconds: float = 1.0
    """How often what is counted is told to Kafka."""
