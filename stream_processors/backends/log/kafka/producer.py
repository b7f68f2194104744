"""One idempotent Kafka producer from connection to close, and the limit on bytes in flight."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from schemas.errors import Overloaded
from schemas.frame import NewFrame
from stream_processors.backends.log.kafka.clients import close_client
from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.log.kafka.policy import FRAME_BYTES, KafkaPolicy
from stream_processors.backends.log.kafka.records import headers_of, timestamp_of

_RETRY_AFTER = 2


class InFlight:
    """Counts payload bytes from the moment a client takes them until it releases them. Belongs to one event loop.

    One append may exceed the limit: otherwise an append larger than the limit could never be sent.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0

    @property
    def bytes(self) -> int:
        return self._bytes

    def reserve(self, size: int) -> None:
        """Raises Overloaded when too much is in flight."""
        if self._bytes and self._bytes + size > self._limit:
            raise Overloaded(
                f"{self._bytes:,} bytes of frames are in flight to Kafka and not acknowledged, the limit is "
                f"{self._limit:,}: post again when the brokers have caught up",
                retry_after=_RETRY_AFTER,
            )
        self._bytes += size

    def release(self, size: int) -> None:
        """The bytes are acknowledged or dropped."""
        self._bytes -= size


_ENVELOPE_BYTES = 1_000
"""A generous upper bound for what a record adds to its payload."""

_STOP_TIMEOUTS = 3
"""How many request timeouts a client may take to stop, and then to close its connections."""


class Producer:
    """An idempotent producer: what it retries by itself is in the log once.

    After one failure it cannot be used again: its sequence numbers may not be those the brokers expect.
    """

    def __init__(self, client: AIOKafkaProducer, topic: str, in_flight: InFlight, policy: KafkaPolicy) -> None:
        self._client = client
        self._topic = topic
        self._in_flight = in_flight
        self._policy = policy

    async def send(self, frames: Sequence[NewFrame]) -> Sequence[tuple[int, int]]:
        """Returns when every in-sync replica has acknowledged every frame: the partition and the offset of each.

        Releases the frames' bytes in any case.
        """
        acks: list[asyncio.Future[Any]] = []
        try:
            for frame in frames:
                acks.append(await self._send_one(frame))  # noqa: PERF401 - the acks before a failure must be known
        finally:
            self._in_flight.release(sum(len(frame.payload) for frame in frames[len(acks) :]))
            # Gathered here, so that the failure of an ack that no caller waits for any more is not logged.
            outcome = asyncio.gather(*acks, return_exceptions=True)
        places = []
        for ack in await asyncio.shield(outcome):
            if isinstance(ack, BaseException):
                raise ack
            places.append((ack.partition, ack.offset))
        return places

    async def end(self) -> None:
        """Waits for what is in flight; what cannot be sent is dropped within a bounded time."""
        # An idempotent client retries a batch without end. Without its transaction manager the sender lets batches
        # expire after the request timeout: a refused frame is neither kept in memory nor appended long afterwards.
        if self._client._sender is not None:  # noqa: SLF001 - the library offers no other way to drop a batch
            self._client._sender._txn_manager = None  # noqa: SLF001 - as above
        await close_client(self._client, _STOP_TIMEOUTS * self._policy.append_seconds)

    async def _send_one(self, frame: NewFrame) -> "asyncio.Future[Any]":
        """The client holds the frame until its ack arrives or fails."""
        ack: asyncio.Future[Any] = await self._client.send(
            self._topic,
            frame.payload,
            partition=frame.partition,
            timestamp_ms=timestamp_of(frame.arrival),
            headers=headers_of(frame),
        )
        ack.add_done_callback(lambda _: self._in_flight.release(len(frame.payload)))
        return ack


async def open_producer(cluster: KafkaCluster, topic: str, in_flight: InFlight, policy: KafkaPolicy) -> Producer:
    """A producer that is connected and has its producer id. Raises the client's errors."""
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
