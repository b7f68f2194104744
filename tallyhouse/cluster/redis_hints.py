"""Key hints shared by all gateways through Redis, for `duplicate` verdicts; exactness never depends on them."""

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

import redis.asyncio
from redis.exceptions import RedisError

from schemas.errors import StoreFailed
from schemas.hashing import BodyHashes, KeyHashes, as_digests
from schemas.logger import Logger
from schemas.metrics import Gauge, Metrics
from schemas.timestamps import MILLISECOND

_PREFIX = b"tallyhouse:key:"
_VALUE = struct.Struct("<Qq")
"""The body's hash and the arrival."""
_MAX_PENDING = 200_000
"""Keys not yet written, 150 bytes each. Beyond that, the oldest are dropped."""
_BATCH_SIZE = 2_000
_BACKOFF_SECONDS = 1.0
"""For how long Redis is not queried after a failure, so that a Redis that is down does not delay every group."""

_FAILURES = (RedisError, OSError, TimeoutError)

HintEntry = tuple[bytes, bytes]


def connect(url: str) -> redis.asyncio.Redis:
    """A client for `redis://…`. It connects with its first command."""
    client: redis.asyncio.Redis = redis.asyncio.Redis.from_url(url)
    return client


class RedisHints:
    """The `KeyHints` of an intake: `async with RedisHints(…) as known:`. Bound to one event loop."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        window: int,
        *,
        timeout_seconds: float = 0.1,
        timer: Callable[[], float],
        metrics: Metrics,
        logger: Logger,
    ) -> None:
        """No key is known for longer than `window` microseconds."""
        self._client = client
        self._window = window
        self._timeout_seconds = timeout_seconds
        self._timer = timer
        self._metrics = metrics
        self._logger = logger
        self._pending: deque[HintEntry] = deque(maxlen=_MAX_PENDING)
        self._wake = asyncio.Event()
        self._backoff_until = 0.0
        self._is_down = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._metrics.set(Gauge.SHARED_KEYS_DOWN, 0)
        self._task = asyncio.create_task(self._write_loop(), name="shared-keys")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._client.aclose()

    async def body_hashes(self, keys: KeyHashes, now: int) -> Mapping[bytes, int]:
        """The body's hash for each key that any gateway made durable within the window.

        Raises StoreFailed when Redis does not answer, and during the backoff after that.
        """
        if not len(keys):
            return {}
        if self._timer() < self._backoff_until:
            raise StoreFailed("Redis did not answer a moment ago")
        digests = as_digests(keys)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                values = await self._client.mget([_PREFIX + digest for digest in digests])
        except _FAILURES as error:
            self._record_failure(error)
            raise StoreFailed(f"Redis does not answer: {error}") from error
        self._record_success()
        pairs = zip(digests, values, strict=True)
        found = {digest: _VALUE.unpack(value) for digest, value in pairs if isinstance(value, bytes)}
        return {digest: body for digest, (body, arrival) in found.items() if now - arrival <= self._window}

    def remember(self, keys: KeyHashes, bodies: BodyHashes, arrival: int) -> None:
        """Queues the keys to be written; when Redis is too slow, the oldest in the queue are dropped."""
        for digest, body in zip(as_digests(keys), bodies.tolist(), strict=True):
            self._pending.append((_PREFIX + digest, _VALUE.pack(body, arrival)))
        self._wake.set()

    async def _write_loop(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                entries = [self._pending.popleft() for _ in range(min(_BATCH_SIZE, len(self._pending)))]
                try:
                    async with asyncio.timeout(_BACKOFF_SECONDS):
                        await self._write(entries)
                except _FAILURES as error:
                    self._record_failure(error)
                    await asyncio.sleep(_BACKOFF_SECONDS)
                else:
                    self._record_success()

    async def _write(self, entries: Sequence[HintEntry]) -> None:
        """Keeps the first body written for a key, as the processor keeps the first in the log."""
        pipeline = self._client.pipeline(transaction=False)
        for name, value in entries:
            pipeline.set(name, value, px=self._window // MILLISECOND, nx=True)
        await pipeline.execute()

    def _record_failure(self, error: Exception) -> None:
        self._backoff_until = self._timer() + _BACKOFF_SECONDS
        if not self._is_down:
            self._is_down = True
            self._metrics.set(Gauge.SHARED_KEYS_DOWN, 1)
            self._logger.warning(
                "Redis does not answer: repeats that reach another gateway are answered `accepted`, and dropped later",
                reason=str(error) or type(error).__name__,
            )

    def _record_success(self) -> None:
        if self._is_down:
            self._is_down = False
            self._metrics.set(Gauge.SHARED_KEYS_DOWN, 0)
            self._logger.info("Redis answers again")
