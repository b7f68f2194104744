"""One idempotent Kafka producer from connection to close, and the limit on bytes in flight."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from schemas.errors import Overloaded
from schemas.frame import NewFrame
from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.log.kafka.policy import FRAME_BYTES, KafkaPolicy
from stream_processors.backends.log.kafka.records import headers_of, timestamp_of

_RETRY_AFTER = 2


class InFlight:
    """Counts bytes from the moment they are handed to a client until it lets go of them. One event loop.

    One append may go past the limit: otherwise one larger than the limit could never go.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0

    @property
    def bytes(self) -> int:
        return self._bytes

    def reserve(self, size: int) -> None:
        """Raises Overloaded where too much is in flight."""
        if self._bytes and self._bytes + size > self._limit:
            raise Overloaded(
                f"{self._bytes:,} bytes of frames are on their way to Kafka and not acknowledged, the limit is "
                f"{self._limit:,}: post again when the brokers have caught up",
                retry_after=_RETRY_AFTER,
            )
        self._bytes += size

    def release(self, size: int) -> None:
        """Acknowledged, or given up."""
        self._bytes -= size


_ENVELOPE_BYTES = 1_000
"""What a record adds to its payload, generously."""

_STOP_TIMEOUTS = 3
"""How many times its own request timeout a client may take to let go of everything."""


class Producer:
    """Idempotent, so that what it repeats by itself is in the log once.

    One that failed once is of no further use: its sequence numbers may not be those the brokers expect.
    """

    def __init__(self, client: AIOKafkaProducer, topic: str, in_flight: InFlight, policy: KafkaPolicy) -> None:
        self._client = client
        self._topic = topic
        self._in_flight = in_flight
        self._policy = policy

    async def send(self, frames: Sequence[NewFrame]) -> None:
        """All are acknowledged by every replica in sync when this returns. Each of them lands, whatever happens."""
        acks: list[asyncio.Future[Any]] = []
        try:
            for frame in frames:
                acks.append(await self._send_one(frame))  # noqa: PERF401 - those before a failure must be known
        finally:
            self._in_flight.release(sum(len(frame.payload) for frame in frames[len(acks) :]))
            # Made here, so that an ack that fails after everyone has stopped waiting is not complained about.
            outcome = asyncio.gather(*acks, return_exceptions=True)
        for ack in await asyncio.shield(outcome):
            if isinstance(ack, BaseException):
                raise ack

    async def end(self) -> None:
        """Finish what is sent; what cannot be sent is given up soon."""
        # An idempotent client repeats a batch for ever. Without its transaction manager the sender lets batches expire
        # after the request timeout: nothing is kept in memory, or comes into the log, long after it was refused.
        if self._client._sender is not None:  # noqa: SLF001 - the library has no other way to give a batch up
            self._client._sender._txn_manager = None  # noqa: SLF001 - as above
        await asyncio.wait_for(self._client.stop(), _STOP_TIMEOUTS * self._policy.append_seconds)

    async def _send_one(self, frame: NewFrame) -> "asyncio.Future[Any]":
        """The client holds the frame until the ack comes or fails."""
        ack: asyncio.Future[Any] = await self._client.send(
            self._topic,
            frame.payload,
            partition=frame.partition,
            timestamp_ms=timestamp_of(frame.arrival),
            headers=headers_of(frame.arrival),
        )
        ack.add_done_callback(lambda _: self._in_flight.release(len(frame.payload)))
        return ack


async def open_producer(cluster: KafkaCluster, topic: str, in_flight: InFlight, policy: KafkaPolicy) -> Producer:
    """Connected, and told its producer id."""
    client = AIOKafkaProducer(
        **cluster.arguments(policy.append_seconds),
        acks="all",
        enable_idempotence=True,
        compression_type=policy.compression,
        linger_ms=policy.linger_ms,
        max_batch_size=policy.batch_bytes,
        max_request_size=FRAME_BYTES + _ENVELOPE_BYTES,
    )
    try:
        await client.start()
    except BaseException:
        await client.stop()
        raise
    return Producer(client, topic, in_flight, policy)
