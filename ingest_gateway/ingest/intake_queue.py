"""Requests on their way into the log: how many may wait, and which of them are taken in together."""

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from ingest_gateway.ingest.batch import PostedBatch
from ingest_gateway.ingest.intake_policy import IntakePolicy
from ingest_gateway.ingest.outcome import BatchOutcome


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
