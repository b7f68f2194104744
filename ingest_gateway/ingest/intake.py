"""The intake: groups waiting requests, makes each group durable, and answers every request with its verdicts."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import chain
from types import TracebackType
from typing import Self

import numpy as np

from ingest_gateway.ingest.batch import BatchOutcome, PostedBatch
from ingest_gateway.ingest.cooperative import yield_control
from ingest_gateway.ingest.duplicate_lookup import DuplicateLookup
from ingest_gateway.ingest.event_group import EventGroup, gather
from ingest_gateway.ingest.frames import frames_of
from ingest_gateway.ingest.intake_queue import IntakePolicy, IntakeQueue, PendingRequest
from ingest_gateway.ingest.judge import (
    Mark,
    Marks,
    first_rows,
    hold_back_strict,
    mark_ages,
    mark_repeats,
    older_than_limit,
)
from ingest_gateway.ingest.recent_keys import RecentKeys
from ingest_gateway.ingest.verdicts import count_group, count_outcomes, count_posted, outcomes, refused_outright
from ingest_gateway.ports import FrameSink, KeyHints
from schemas.errors import Halted, Overloaded, TallyhouseError
from schemas.frame import NewFrame
from schemas.logger import Logger, NullLogger
from schemas.metrics import Counter, Metrics


class GroupPipeline:
    """Judges and stores one group at a time: its verdicts depend on the keys remembered from the groups before."""

    def __init__(
        self,
        sink: FrameSink,
        duplicates: DuplicateLookup,
        arrival: Callable[[], int],
        policy: IntakePolicy,
        metrics: Metrics,
        logger: Logger,
    ) -> None:
        self._sink = sink
        self._duplicates = duplicates
        self._arrival = arrival
        self._policy = policy
        self._metrics = metrics
        self._logger = logger

    async def store(self, requests: Sequence[PostedBatch]) -> list[BatchOutcome | Exception]:
        """Judges the group, makes its fresh events durable, and only then remembers their keys and returns.

        Each request gets its outcome, or the fault that concerns it alone. A request that cannot be judged or encoded
        is found by halving the group, before anything is appended. Yields control between these steps.
        """
        try:
            group, marks, frames = await self._prepare(requests)
        except TallyhouseError:
            raise
        except Exception as error:
            if len(requests) == 1:
                return [error]
            middle = len(requests) // 2
            return [*await self._store_part(requests[:middle]), *await self._store_part(requests[middle:])]
        if frames:
            await self._append(group, marks, frames)
        return list(outcomes(group, marks, self._policy.age_limits))

    async def _store_part(self, requests: Sequence[PostedBatch]) -> list[BatchOutcome | Exception]:
        """As `store`; if the log fails, for this part alone: the other one may be durable."""
        try:
            return await self.store(requests)
        except TallyhouseError as error:
            return [error] * len(requests)

    async def _prepare(self, requests: Sequence[PostedBatch]) -> tuple[EventGroup, Marks, list[NewFrame]]:
        group = gather(requests, self._arrival())
        marks = await self._judge(group)
        return group, marks, await self._encode(group, marks) if (marks == Mark.FRESH).any() else []

    async def _judge(self, group: EventGroup) -> Marks:
        marks = mark_ages(group, self._policy.age_limits)
        firsts = first_rows(group, marks)
        known, bodies = await self._duplicates.find(group, firsts.distinct)
        mark_repeats(group, marks, firsts, known, bodies)
        hold_back_strict(group, marks)
        return marks

    async def _encode(self, group: EventGroup, marks: Marks) -> list[NewFrame]:
        arguments = (
            group,
            marks == Mark.FRESH,
            older_than_limit(group, self._policy.age_limits),
            self._policy.partitions,
            self._policy.frame_limits,
        )
        if sum(posted.size for posted in group.requests) > self._policy.thread_bytes:
            return await asyncio.get_running_loop().run_in_executor(None, frames_of, *arguments)
        await yield_control()
        return frames_of(*arguments)

    async def _append(self, group: EventGroup, marks: Marks, frames: Sequence[NewFrame]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self._sink.append(frames)
        await yield_control()
        rows = np.flatnonzero(marks == Mark.FRESH)
        # From here on the events are durable: a fault costs hints and figures, never an answer.
        try:
            self._duplicates.remember(group, rows)
            beyond = int(older_than_limit(group, self._policy.age_limits)[rows].sum())
            if beyond:
                self._metrics.count(Counter.UNCHECKED, beyond, "window")
            count_group(self._metrics, len(rows), loop.time() - began)
        except Exception:
            self._logger.exception("the keys of stored events could not be remembered", events=len(rows))


_EXPIRY_CHECKS = 30
"""Checks for expired requests within one answer timeout."""


class Intake:
    """`async with Intake(…) as intake: outcome = await intake.submit(posted)`. Bound to one event loop.

    `arrival` returns the stamp of a frame made now, and must never go back: see `ArrivalClock`.
    """

    def __init__(
        self,
        sink: FrameSink,
        known: KeyHints,
        recent: RecentKeys,
        arrival: Callable[[], int],
        policy: IntakePolicy,
        metrics: Metrics,
        logger: Logger | None = None,
    ) -> None:
        self._logger = logger or NullLogger()
        lookup = DuplicateLookup(recent, known, policy.lookup_timeout_seconds, metrics)
        self._pipeline = GroupPipeline(sink, lookup, arrival, policy, metrics, self._logger)
        self._policy = policy
        self._metrics = metrics
        self._queue = IntakeQueue(policy)
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._in_flight: Sequence[PendingRequest] = ()
        self._expiry_timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="intake")
        self._expire_requests()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Refuses new requests, and stores the waiting ones within the answer timeout."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=self._policy.answer_timeout_seconds)
            self._task.cancel()
            await asyncio.wait([self._task])
        self._answer(self._queue.take_all(), Overloaded("the service is stopping; post again in a moment"))
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()

    async def submit(self, posted: PostedBatch) -> BatchOutcome:
        """The verdicts, once every accepted event is durable. Raises Overloaded; the same post may be retried."""
        count_posted(self._metrics, posted)
        if not len(posted.valid) or (posted.strict and posted.rejections):
            outcome = refused_outright(posted)
            count_outcomes(self._metrics, [outcome])
            return outcome
        loop = asyncio.get_running_loop()
        self._admit(posted, loop.time())
        answer: asyncio.Future[BatchOutcome] = loop.create_future()
        self._queue.add(PendingRequest(posted, answer, loop.time()))
        self._wake.set()
        try:
            return await answer
        finally:
            # An error's traceback refers to this frame, and the future to the error: a cycle that would keep the body
            # in memory until the garbage collector runs, which is rare.
            del answer

    def _admit(self, posted: PostedBatch, now: float) -> None:
        if self._closing:
            raise self._busy("stopping", "the service is stopping")
        if full := self._queue.full(posted, now):
            raise self._busy(*full)

    def _busy(self, reason: str, what: str) -> Overloaded:
        self._metrics.count(Counter.BUSY, 1, reason)
        return Overloaded(f"{what}; post again in a moment, the idempotency keys make that safe")

    async def _run(self) -> None:
        while self._queue or not self._closing:
            if not self._queue:
                self._wake.clear()
                await self._wake.wait()
                if self._policy.linger_seconds and not self._closing:
                    await asyncio.sleep(self._policy.linger_seconds)
            await yield_control()
            group = self._queue.take()
            if group:
                await self._store_group(group)

    async def _store_group(self, waiting: Sequence[PendingRequest]) -> None:
        """Stores one group and answers each of its requests, whatever fails."""
        self._in_flight = waiting
        try:
            found = await self._pipeline.store([each.posted for each in waiting])
        except asyncio.CancelledError:
            self._answer(waiting, Overloaded("the service is stopping; post again in a moment"))
            raise
        except Halted as halted:
            self._metrics.count(Counter.BUSY, 1, "log")
            self._answer(waiting, halted)
        except TallyhouseError as error:
            cause = f" ({error.message})" if isinstance(error, Overloaded) else ""
            self._answer(waiting, self._busy("log", f"the events could not be stored{cause}"))
        except Exception as error:  # A bug must reach the request's log and must not end the intake.
            self._answer(waiting, error)
        else:
            for each, outcome in zip(waiting, found, strict=True):
                if isinstance(outcome, TallyhouseError):
                    self._answer([each], self._busy("log", "the events could not be stored"))
                elif isinstance(outcome, Exception):
                    self._answer([each], outcome)
                elif not each.answer.done():
                    each.answer.set_result(outcome)
            self._count([outcome for outcome in found if isinstance(outcome, BatchOutcome)])
        finally:
            self._in_flight = ()

    def _count(self, found: Sequence[BatchOutcome]) -> None:
        try:
            count_outcomes(self._metrics, found)
        except Exception:
            self._logger.exception("the verdicts of stored events could not be counted", requests=len(found))

    def _expire_requests(self) -> None:
        """Refuses the requests that have waited longer than the answer timeout."""
        # One timer for all requests: a timer for each would cost more than the request itself.
        loop = asyncio.get_running_loop()
        latest = loop.time() - self._policy.answer_timeout_seconds
        for each in chain(self._in_flight, self._queue):
            if each.since > latest:
                break
            if not each.answer.done():
                each.answer.set_exception(self._busy("log", "storing the events takes too long"))
        self._expiry_timer = loop.call_later(
            self._policy.answer_timeout_seconds / _EXPIRY_CHECKS, self._expire_requests
        )

    def _answer(self, waiting: Sequence[PendingRequest], error: Exception) -> None:
        for each in waiting:
            if not each.answer.done():
                each.answer.set_exception(error)
