"""The gateway's way into the log on Kafka: an appended frame is on every replica in sync before `append` returns."""

import asyncio
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from schemas.errors import Overloaded
from schemas.frame import NewFrame
from schemas.metrics import Counter, Histogram, Metrics, NoMetrics
from stream_processors.backends.log.kafka.clients import Home
from stream_processors.backends.log.kafka.cluster import TROUBLE, Cluster, explained
from stream_processors.backends.log.kafka.kafka_circuit import Circuit
from stream_processors.backends.log.kafka.kafka_flight import Flight
from stream_processors.backends.log.kafka.policy import KafkaPolicy
from stream_processors.backends.log.kafka.producer import Producer, open_producer

_RETRY_AFTER = 2


class KafkaSink:
    """One producer at a time, replaced after any failure. Used from any event loop, between `async with`.

    Brokers need not be up when it is opened: appends are refused until they are. Once they are known not to answer,
    appends are refused at once, and it is tried in the background whether they answer again.
    """

    def __init__(
        self,
        cluster: Cluster,
        topic: str,
        policy: KafkaPolicy | None = None,
        metrics: Metrics | None = None,
        monotonic: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._cluster = cluster
        self._topic = topic
        self._policy = policy or KafkaPolicy()
        self._metrics = metrics or NoMetrics()
        self._monotonic = monotonic
        self._home = Home()
        self._flight = Flight(self._policy.in_flight_bytes)
        self._circuit = Circuit()
        self._knocking: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._producer: Producer | None = None
        self._ending: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._home.settle()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What is on its way still arrives, or is given up within bounded time."""
        self._home.leave()
        if self._knocking is not None:
            self._knocking.cancel()
            await asyncio.wait([self._knocking])
        self._replace(self._producer)
        await asyncio.gather(*self._ending)

    @property
    def in_flight_bytes(self) -> int:
        """Payload bytes handed over and not yet acknowledged or given up."""
        return self._flight.bytes

    async def append(self, frames: Sequence[NewFrame]) -> None:
        """Durable, all of them, when this returns. Raises Overloaded; then some of them may come into the log yet.

        That is safe: their events meet their own keys again, whenever they are posted again.
        """
        if frames:
            await self._home.run(lambda: self._append(frames))

    async def _append(self, frames: Sequence[NewFrame]) -> None:
        self._circuit.check()
        size = sum(len(frame.payload) for frame in frames)
        self._flight.take_off(size)
        began = self._monotonic()
        await self._deliver(frames, size)
        self._metrics.observe(Histogram.COMMIT_SECONDS, self._monotonic() - began)
        self._metrics.count(Counter.FRAMES, len(frames))
        self._metrics.count(Counter.FRAME_BYTES, size)

    async def _deliver(self, frames: Sequence[NewFrame], size: int) -> None:
        producer: Producer | None = None
        try:
            async with asyncio.timeout(self._policy.append_seconds):
                producer = await self._connected_for(size)
                await producer.send(frames)
        except (*TROUBLE, AssertionError) as error:  # The client asserts that a partition is there.
            reason = explained(error, self._cluster, self._topic)
            if producer is self._producer and (producer is None or isinstance(error, TimeoutError)):
                self._give_up(reason)
            self._replace(producer)
            raise Overloaded(f"the frames were not acknowledged: {reason}", retry_after=_RETRY_AFTER) from error

    async def _connected_for(self, size: int) -> Producer:
        """The producer, for an append of this size; where there is none, that lands here."""
        try:
            return await self._connected()
        except BaseException:
            self._flight.land(size)
            raise

    async def _connected(self) -> Producer:
        """The producer; where there is none, or none any more, a new one."""
        async with self._opening:
            if self._producer is None:
                self._producer = await open_producer(self._cluster, self._topic, self._flight, self._policy)
            return self._producer

    def _give_up(self, reason: str) -> None:
        """Nobody waits for the brokers any more but the one who knocks."""
        self._circuit.open(reason)
        if self._knocking is None or self._knocking.done():
            self._knocking = asyncio.create_task(self._knock())

    async def _knock(self) -> None:
        """Until a new producer is connected, which is what the next append needs."""
        while self._circuit.is_open:
            await asyncio.sleep(self._circuit.rest())
            try:
                async with asyncio.timeout(self._policy.append_seconds):
                    await self._connected()
            except Exception as error:  # Whatever it is: who stopped knocking would leave the circuit open for ever.
                self._circuit.open(explained(error, self._cluster, self._topic))
            else:
                self._circuit.close()

    def _replace(self, producer: Producer | None) -> None:
        """The next append makes a new one; this one gives up what it holds meanwhile."""
        if producer is not None and producer is self._producer:
            self._producer = None
            ending = asyncio.create_task(_ended(producer))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)


async def _ended(producer: Producer) -> None:
    try:
        await producer.end()
    except TROUBLE:
        return  # Nothing more can be done for it, and nobody is owed anything: no ack was given.
