"""The queue of requests that wait for the log, and its limits (backpressure)."""

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from ingest_gateway.ingest.batch import BatchOutcome, PostedBatch
from ingest_gateway.ingest.frames import FrameLimits
from ingest_gateway.ingest.judge import AgeLimits


class IntakePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The limits and timeouts of an intake."""

    partitions: int
    age_limits: AgeLimits = AgeLimits()
    frame_limits: FrameLimits = FrameLimits()
    group_events: int = 50_000
    group_bytes: int = 16_000_000
    queue_requests: int = 20_000
    queue_bytes: int = 48_000_000
    linger_seconds: float = 0.0
    """How long a group waits for more requests. Zero: a group is what arrives while the last one is written."""
    longest_wait_seconds: float = 2.0
    """When the oldest request has waited this long, new ones are refused at once."""
    answer_timeout_seconds: float = 15.0
    """A request without an answer by then is refused with Retry-After; its keys make a retry safe."""
    lookup_timeout_seconds: float = 1.0
    """How long a group waits for the lookup of its keys; without an answer its events are `accepted`."""
    thread_bytes: int = 4_000_000
    """Groups with larger bodies are encoded in a thread, to keep the event loop responsive."""


class PendingRequest(msgspec.Struct, frozen=True, eq=False):
    """A queued request, the future of its answer, and the loop time at which it arrived."""

    posted: PostedBatch
    answer: asyncio.Future[BatchOutcome]
    since: float


class QueueFull(NamedTuple):
    """Why no further request may wait."""

    reason: str
    """The label of the metric."""
    message: str


class IntakeQueue:
    """The waiting requests, first in, first out."""

    def __init__(self, policy: IntakePolicy) -> None:
        self._policy = policy
        self._waiting: deque[PendingRequest] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[PendingRequest]:
        return iter(self._waiting)

    def full(self, posted: PostedBatch, now: float) -> QueueFull | None:
        """The reason why there is no room for this request, or None. An empty queue always has room."""
        policy = self._policy
        if not self._waiting:
            return None
        if len(self._waiting) >= policy.queue_requests or self._bytes + posted.size > policy.queue_bytes:
            return QueueFull("queue", "too many events are waiting to be stored")
        if now - self._waiting[0].since > policy.longest_wait_seconds:
            return QueueFull("log", "storing the events takes too long")
        return None

    def add(self, waiting: PendingRequest) -> None:
        self._waiting.append(waiting)
        self._bytes += waiting.posted.size

    def take(self) -> list[PendingRequest]:
        """Removes the requests of the next group: as many as the limits allow, and none after a strict one."""
        taken: list[PendingRequest] = []
        events = size = 0
        while self._waiting:
            posted = self._waiting[0].posted
            events += len(posted.valid)
            size += posted.size
            if taken and (events > self._policy.group_events or size > self._policy.group_bytes):
                break
            waiting = self._waiting.popleft()
            self._bytes -= posted.size
            if waiting.answer.done():  # The client has gone, or the request has expired.
                continue
            taken.append(waiting)
            if posted.strict and posted.events > 1:
                break
        return taken

    def take_all(self) -> list[PendingRequest]:
        taken = list(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        return taken
