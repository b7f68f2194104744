"""Keys that all gateways know, in Redis: honest replies across processes, never what exactness depends on.

Keys are written only after the log has them, and in the background: whoever waits for an answer does not wait for
Redis. Where Redis does not answer, each gateway is left with what it remembers itself, and says so in a metric.
"""

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

import redis.asyncio
from redis.exceptions import RedisError

from schemas.hashing import BodyHashes, KeyHashes, as_digests
from schemas.logger import Logger
from schemas.metrics import Gauge, Metrics
from schemas.timestamps import MILLISECOND

_PREFIX = b"tallyhouse:key:"
_VALUE = struct.Struct("<Qq")
"""Hash of the body, and arrival."""
_MOST_WAITING = 200_000
"""Keys not yet written, 150 bytes each. Beyond it the oldest are given up."""
_AT_ONCE = 2_000
_REST_SECONDS = 1.0
"""After a failure Redis is left alone for so long: nobody waits for it again and again."""

_FAILURES = (RedisError, OSError, TimeoutError)

Entry = tuple[bytes, bytes]


def connect(url: str) -> redis.asyncio.Redis:
    """A client for `redis://…`. It connects when it is first asked."""
    client: redis.asyncio.Redis = redis.asyncio.Redis.from_url(url)
    return client


class SharedKeys:
    """`async with SharedKeys(…) as known:` for an intake. One event loop."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        window: int,
        *,
        patience_seconds: float = 0.1,
        timer: Callable[[], float],
        metrics: Metrics,
        logger: Logger,
    ) -> None:
        """No key is known for longer than `window` microseconds."""
        self._client = client
        self._window = window
        self._patience_seconds = patience_seconds
        self._timer = timer
        self._metrics = metrics
        self._logger = logger
        self._waiting: deque[Entry] = deque(maxlen=_MOST_WAITING)
        self._wake = asyncio.Event()
        self._resting_until = 0.0
        self._is_down = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._metrics.set(Gauge.SHARED_KEYS_DOWN, 0)
        self._task = asyncio.create_task(self._write_on(), name="shared-keys")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._client.aclose()

    async def bodies(self, keys: KeyHashes, now: int) -> Mapping[bytes, int]:
        """Of the keys that any gateway made durable within the window, the hash of their body."""
        if not len(keys) or self._timer() < self._resting_until:
            return {}
        digests = as_digests(keys)
        try:
            async with asyncio.timeout(self._patience_seconds):
                values = await self._client.mget([_PREFIX + digest for digest in digests])
        except _FAILURES as error:
            self._failed(error)
            return {}
        self._answered()
        pairs = zip(digests, values, strict=True)
        found = {digest: _VALUE.unpack(value) for digest, value in pairs if isinstance(value, bytes)}
        return {digest: body for digest, (body, arrival) in found.items() if now - arrival <= self._window}

    def remember(self, keys: KeyHashes, bodies: BodyHashes, arrival: int) -> None:
        """Have them written soon. What Redis is too slow for is given up."""
        for digest, body in zip(as_digests(keys), bodies.tolist(), strict=True):
            self._waiting.append((_PREFIX + digest, _VALUE.pack(body, arrival)))
        self._wake.set()

    async def _write_on(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                entries = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
                try:
                    async with asyncio.timeout(_REST_SECONDS):
                        await self._write(entries)
                except _FAILURES as error:
                    self._failed(error)
                    await asyncio.sleep(_REST_SECONDS)
                else:
                    self._answered()

    async def _write(self, entries: Sequence[Entry]) -> None:
        """The first body of a key stands, as it does in the log."""
        pipeline = self._client.pipeline(transaction=False)
        for name, value in entries:
            pipeline.set(name, value, px=self._window // MILLISECOND, nx=True)
        await pipeline.execute()

    def _failed(self, error: Exception) -> None:
        self._resting_until = self._timer() + _REST_SECONDS
        if not self._is_down:
            self._is_down = True
            self._metrics.set(Gauge.SHARED_KEYS_DOWN, 1)
            self._logger.warning(
                "Redis does not answer: repeats that reach another gateway are told `accepted`, and dropped later",
                reason=str(error) or type(error).__name__,
            )

    def _answered(self) -> None:
        if self._is_down:
            self._is_down = False
            self._metrics.set(Gauge.SHARED_KEYS_DOWN, 0)
            self._logger.info("Redis answers again")
