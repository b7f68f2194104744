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
    """Frozen: limits may be shared, the intake's state may not."""

    partitions: int
    age_limits: AgeLimits = AgeLimits()
    frame_limits: FrameLimits = FrameLimits()
    group_events: int = 50_000
    group_bytes: int = 16_000_000
    queue_requests: int = 20_000
    queue_bytes: int = 48_000_000
    linger_seconds: float = 0.0
    """Waiting for company before a group starts. Zero: whoever comes while the last group is written is company."""
    longest_wait_seconds: float = 2.0
    """When the oldest request has waited so long, new ones are sent away at once."""
    answer_timeout_seconds: float = 15.0
    """A request that has no answer by then is told to come again; its key makes that safe."""
    lookup_timeout_seconds: float = 1.0
    """How long to wait for the known keys. They only make replies honest sooner: ingest goes on without."""
    thread_bytes: int = 4_000_000
    """Groups beyond this are encoded in a thread, so that the event loop stays responsive."""


class PendingRequest(msgspec.Struct, frozen=True, eq=False):
    """One request, and where its answer goes."""

    posted: PostedBatch
    answer: asyncio.Future[BatchOutcome]
    since: float


class QueueFull(NamedTuple):
    """Why nobody else may wait."""

    reason: str
    """For the metrics: a word."""
    message: str


class IntakeQueue:
    """First come, first served."""

    def __init__(self, policy: IntakePolicy) -> None:
        self._policy = policy
        self._waiting: deque[PendingRequest] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[PendingRequest]:
        return iter(self._waiting)

    def full(self, posted: PostedBatch, now: float) -> QueueFull | None:
        """Whether there is no room for this one. Where nobody waits there always is."""
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
        """The requests of the next group: as many as its limits allow, and never anything after a strict one."""
        taken: list[PendingRequest] = []
        events = size = 0
        while self._waiting:
            posted = self._waiting[0].posted
            events += len(posted.good)
            size += posted.size
            if taken and (events > self._policy.group_events or size > self._policy.group_bytes):
                break
            waiting = self._waiting.popleft()
            self._bytes -= posted.size
            if waiting.answer.done():  # Whoever posted it has gone.
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
