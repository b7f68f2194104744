"""Appends frames to the log on Kafka, durable on every in-sync replica, behind a circuit breaker."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self

from schemas.errors import IdentityChanged, Overloaded, StoreFailed
from schemas.frame import NewFrame
from schemas.metrics import Counter, Histogram, Metrics, NullMetrics
from stream_processors.backends.log.kafka.clients import LoopBound
from stream_processors.backends.log.kafka.cluster import CLIENT_ERRORS, KafkaCluster, describe_error
from stream_processors.backends.log.kafka.policy import KafkaPolicy
from stream_processors.backends.log.kafka.producer import InFlight, Producer, open_producer

_RETRY_AFTER = 2
_LONGEST_BACKOFF = 1.0
_VERIFY_SECONDS = 1.0


class Circuit:
    """A circuit breaker: a failed append opens it, a connected producer closes it. While open, appends are refused.

    It has no clock: the task that reconnects sleeps for `backoff` seconds between its attempts.
    """

    def __init__(self) -> None:
        self._reason: str | None = None
        self._attempts = 0

    @property
    def is_open(self) -> bool:
        return self._reason is not None

    def open(self, reason: str) -> None:
        """Refuses appends, with this reason; the latest one is reported."""
        self._reason = reason

    def close(self) -> None:
        """Accepts appends again."""
        self._reason = None
        self._attempts = 0

    def check(self) -> None:
        """Raises Overloaded while the circuit is open."""
        if self._reason is not None:
            raise Overloaded(f"the brokers do not answer at present: {self._reason}", retry_after=_RETRY_AFTER)

    def backoff(self) -> float:
        """Seconds before the next attempt: 0 before the first, then doubling up to a maximum of a second."""
        self._attempts += 1
        return 0.0 if self._attempts == 1 else min(0.05 * 2 ** min(self._attempts - 2, 10), _LONGEST_BACKOFF)


class AckVerification:
    """Verifies that acknowledged frames are in the log that the usage is counted from.

    A topic that is deleted and created again begins at offset 0. So the topic's id is asked for when a partition's
    offsets do not rise, and once a second besides; a request for every append would cost as much as the append.
    """

    def __init__(self, verify: Callable[[], Awaitable[None]] | None, monotonic: Callable[[], float]) -> None:
        self._verify = verify
        self._monotonic = monotonic
        self._highest: dict[int, int] = {}
        self._verified_at: float | None = None

    async def verify(self, acked: Sequence[tuple[int, int]]) -> None:
        """Raises Overloaded if the frames may be in another log: then none of their events is answered `accepted`."""
        if self._verify is None:
            return
        now = self._monotonic()
        rises = [offset > self._highest.get(partition, offset) for partition, offset in acked]
        is_recent = self._verified_at is not None and now - self._verified_at < _VERIFY_SECONDS
        if not (is_recent and all(rises)):
            try:
                await self._verify()
            except (IdentityChanged, StoreFailed) as error:
                raise Overloaded(f"the frames may be in another log: {error}", retry_after=_RETRY_AFTER) from error
            # The moment before the request: a topic of a later id may have been created while it was answered.
            self._verified_at = now
        for partition, offset in acked:
            self._highest[partition] = max(offset, self._highest.get(partition, offset))


class KafkaSink:
    """One producer at a time, replaced after any failure. Used from any event loop, between `async with`.

    Brokers need not be up when it is opened: appends are refused until they are. Once brokers are known not to answer,
    appends are refused at once, and a background task tries to reconnect.
    """

    def __init__(
        self,
        cluster: KafkaCluster,
        topic: str,
        policy: KafkaPolicy | None = None,
        metrics: Metrics | None = None,
        monotonic: Callable[[], float] = time.perf_counter,
        verify: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`verify` raises an error unless the topic is the log that the usage is counted from."""
        self._cluster = cluster
        self._topic = topic
        self._policy = policy or KafkaPolicy()
        self._metrics = metrics or NullMetrics()
        self._monotonic = monotonic
        self._verification = AckVerification(verify, monotonic)
        self._clients_loop = LoopBound()
        self._in_flight = InFlight(self._policy.in_flight_bytes)
        self._circuit = Circuit()
        self._reconnecting: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._producer: Producer | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._clients_loop.bind()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits until what is in flight is acknowledged or dropped, within a bounded time."""
        self._clients_loop.unbind()
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            await asyncio.wait([self._reconnecting])
        self._replace(self._producer)
        await asyncio.gather(*self._closing)

    @property
    def in_flight_bytes(self) -> int:
        """Payload bytes sent and neither acknowledged nor dropped."""
        return self._in_flight.bytes

    async def append(self, frames: Sequence[NewFrame]) -> None:
        """All frames are durable when this returns. After Overloaded some of them may still reach the log.

        That is safe: when their events are posted again, they are dropped as duplicates by their keys.
        """
        if frames:
            await self._clients_loop.run(lambda: self._append(frames))

    async def _append(self, frames: Sequence[NewFrame]) -> None:
        self._circuit.check()
        size = sum(len(frame.payload) for frame in frames)
        self._in_flight.reserve(size)
        began = self._monotonic()
        await self._verification.verify(await self._deliver(frames, size))
        self._metrics.observe(Histogram.COMMIT_SECONDS, self._monotonic() - began)
        self._metrics.count(Counter.FRAMES, len(frames))
        self._metrics.count(Counter.FRAME_BYTES, size)

    async def _deliver(self, frames: Sequence[NewFrame], size: int) -> Sequence[tuple[int, int]]:
        producer: Producer | None = None
        try:
            async with asyncio.timeout(self._policy.append_seconds):
                producer = await self._connected_for(size)
                return await producer.send(frames)
        except (*CLIENT_ERRORS, AssertionError) as error:  # The client asserts that the partition exists.
            reason = describe_error(error, self._cluster, self._topic)
            if producer is self._producer and (producer is None or isinstance(error, TimeoutError)):
                self._open_circuit(reason)
            self._replace(producer)
            raise Overloaded(f"the frames were not acknowledged: {reason}", retry_after=_RETRY_AFTER) from error

    async def _connected_for(self, size: int) -> Producer:
        """The producer for an append of this size. Releases the reserved bytes if none can be connected."""
        try:
            return await self._connected()
        except BaseException:
            self._in_flight.release(size)
            raise

    async def _connected(self) -> Producer:
        """The producer, newly connected if there is none."""
        async with self._opening:
            if self._producer is None:
                self._producer = await open_producer(self._cluster, self._topic, self._in_flight, self._policy)
            return self._producer

    def _open_circuit(self, reason: str) -> None:
        """Refuses appends, and starts the task that reconnects."""
        self._circuit.open(reason)
        if self._reconnecting is None or self._reconnecting.done():
            self._reconnecting = asyncio.create_task(self._reconnect())

    async def _reconnect(self) -> None:
        """Retry until a new producer is connected, which is what the next append needs."""
        while self._circuit.is_open:
            await asyncio.sleep(self._circuit.backoff())
            try:
                async with asyncio.timeout(self._policy.append_seconds):
                    await self._connected()
            except Exception as error:  # any error at all: if this task ended, the circuit would stay open
                self._circuit.open(describe_error(error, self._cluster, self._topic))
            else:
                self._circuit.close()

    def _replace(self, producer: Producer | None) -> None:
        """Drops the producer, so that the next append connects a new one; it is closed in the background."""
        if producer is not None and producer is self._producer:
            self._producer = None
            ending = asyncio.create_task(producer.end())
            self._closing.add(ending)
            ending.add_done_callback(self._closing.discard)
