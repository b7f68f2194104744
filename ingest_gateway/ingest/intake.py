"""The intake: takes what all requests posted, makes it durable together, and gives each request its verdicts.

One background task works on one group at a time. While the log writes a group, the next one gathers: the busier it
is, the larger the groups, and one durable write serves more requests.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain
from types import TracebackType
from typing import Self

import msgspec
import numpy as np

from ingest_gateway.ingest.frames import Cut, frames_of
from ingest_gateway.ingest.giving_way import give_way
from ingest_gateway.ingest.group import Group, gather
from ingest_gateway.ingest.hints import Hints
from ingest_gateway.ingest.judge import (
    Ages,
    Mark,
    Marks,
    first_rows,
    hold_back_strict,
    mark_ages,
    mark_repeats,
    past_limit,
)
from ingest_gateway.ingest.outcome import Outcome
from ingest_gateway.ingest.posted import Posted
from ingest_gateway.ingest.recent import RecentKeys
from ingest_gateway.ingest.replies import outcomes, refused_unread
from ingest_gateway.ingest.tally import tally_group, tally_outcomes, tally_posted
from ingest_gateway.ports import FrameSink, KnownKeys
from schemas.errors import Overloaded, TallyhouseError
from schemas.frame import NewFrame
from schemas.metrics import Counter, Metrics

_LOOKS = 30
"""How often within the longest wait it is looked who has waited so long."""


class IntakePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the intake; they may be shared, the intake's state may not."""

    partitions: int
    ages: Ages = Ages()
    cut: Cut = Cut()
    group_events: int = 50_000
    group_bytes: int = 16_000_000
    queue_requests: int = 20_000
    queue_bytes: int = 48_000_000
    linger_seconds: float = 0.0
    """Waiting for company before a group starts. Zero: whoever comes while the last group is written is company."""
    patience_seconds: float = 2.0
    """When the oldest request has waited so long, new ones are sent away at once."""
    answer_seconds: float = 15.0
    """A request that has no answer by then is told to come again; its key makes that safe."""
    hint_seconds: float = 1.0
    """How long to wait for the known keys. They only make replies honest sooner: ingest goes on without."""
    thread_bytes: int = 4_000_000
    """Groups beyond this are encoded in a thread, so that the event loop stays responsive."""


class _Waiting(msgspec.Struct, frozen=True, eq=False):
    posted: Posted
    answer: asyncio.Future[Outcome]
    since: float


class Intake:
    """`async with Intake(…) as intake: outcome = await intake.submit(posted)`. One event loop.

    `arrival` gives the stamp of what comes now, and never goes back: see `Arrivals`.
    """

    def __init__(
        self,
        sink: FrameSink,
        known: KnownKeys,
        recent: RecentKeys,
        arrival: Callable[[], int],
        policy: IntakePolicy,
        metrics: Metrics,
    ) -> None:
        self._sink = sink
        self._hints = Hints(recent, known, policy.hint_seconds)
        self._arrival = arrival
        self._policy = policy
        self._metrics = metrics
        self._queue: deque[_Waiting] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._being_stored: Sequence[_Waiting] = ()
        self._look: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="intake")
        self._look_at_the_clock()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What waits is still taken in, as long as anyone waits for it; nothing new is."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=self._policy.answer_seconds)
            self._task.cancel()
            await asyncio.wait([self._task])
        self._answer(self._take_all(), Overloaded("the service is stopping; post again in a moment"))
        if self._look is not None:
            self._look.cancel()

    async def submit(self, posted: Posted) -> Outcome:
        """The verdicts, once every accepted event is durable. Raises Overloaded; then post the same again."""
        tally_posted(self._metrics, posted)
        if not len(posted.good) or (posted.strict and posted.rejections):
            outcome = refused_unread(posted)
            tally_outcomes(self._metrics, [outcome])
            return outcome
        loop = asyncio.get_running_loop()
        self._admit(posted, loop.time())
        answer: asyncio.Future[Outcome] = loop.create_future()
        self._queue.append(_Waiting(posted, answer, loop.time()))
        self._queued_bytes += posted.size
        self._wake.set()
        try:
            return await answer
        finally:
            # A refusal's traceback has this frame, and the answer has the refusal: a cycle that would keep the body in
            # memory until the collector comes, which is rarely.
            del answer

    def _admit(self, posted: Posted, now: float) -> None:
        policy = self._policy
        if self._closing:
            raise self._busy("stopping", "the service is stopping")
        if not self._queue:
            return
        if len(self._queue) >= policy.queue_requests or self._queued_bytes + posted.size > policy.queue_bytes:
            raise self._busy("queue", "too many events are waiting to be stored")
        if now - self._queue[0].since > policy.patience_seconds:
            raise self._busy("log", "storing the events takes too long")

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
            await give_way()
            group = self._take()
            if group:
                await self._take_in(group)

    def _take(self) -> list[_Waiting]:
        """The requests of the next group: as many as its limits allow, and never anything after a strict one."""
        taken: list[_Waiting] = []
        events = size = 0
        while self._queue:
            posted = self._queue[0].posted
            events += len(posted.good)
            size += posted.size
            if taken and (events > self._policy.group_events or size > self._policy.group_bytes):
                break
            waiting = self._queue.popleft()
            self._queued_bytes -= posted.size
            if waiting.answer.done():  # Whoever posted it has gone.
                continue
            taken.append(waiting)
            if posted.strict and posted.events > 1:
                break
        return taken

    def _take_all(self) -> list[_Waiting]:
        taken = list(self._queue)
        self._queue.clear()
        self._queued_bytes = 0
        return taken

    async def _take_in(self, waiting: Sequence[_Waiting]) -> None:
        """Store one group and answer its requests. Whatever goes wrong, everyone is answered."""
        self._being_stored = waiting
        try:
            found = await self._stored([each.posted for each in waiting])
        except asyncio.CancelledError:
            self._answer(waiting, Overloaded("the service is stopping; post again in a moment"))
            raise
        except TallyhouseError:
            self._answer(waiting, self._busy("log", "the events could not be stored"))
        except Exception as error:  # A fault of ours must reach the request's log, and not end the intake.
            self._answer(waiting, error)
        else:
            tally_outcomes(self._metrics, found)
            for each, outcome in zip(waiting, found, strict=True):
                if not each.answer.done():
                    each.answer.set_result(outcome)

        finally:
            self._being_stored = ()

    def _look_at_the_clock(self) -> None:
        """Send away whoever has waited too long. One timer for all: a timer for each would cost more than its wait."""
        loop = asyncio.get_running_loop()
        latest = loop.time() - self._policy.answer_seconds
        for each in chain(self._being_stored, self._queue):
            if each.since > latest:
                break
            if not each.answer.done():
                each.answer.set_exception(self._busy("log", "storing the events takes too long"))
        self._look = loop.call_later(self._policy.answer_seconds / _LOOKS, self._look_at_the_clock)

    def _answer(self, waiting: Sequence[_Waiting], error: Exception) -> None:
        for each in waiting:
            if not each.answer.done():
                each.answer.set_exception(error)

    async def _stored(self, requests: Sequence[Posted]) -> list[Outcome]:
        """The order is the promise: judge, make durable, only then remember and answer."""
        group = gather(requests, self._arrival())
        marks = await self._judged(group)
        rows = np.flatnonzero(marks == Mark.FRESH)
        if len(rows):
            await self._made_durable(group, marks)
            await give_way()
            self._hints.remember(group, rows)
        return list(outcomes(group, marks, self._policy.ages))

    async def _judged(self, group: Group) -> Marks:
        marks = mark_ages(group, self._policy.ages)
        firsts = first_rows(group, marks)
        known, bodies = await self._hints.find(group, firsts.distinct)
        mark_repeats(group, marks, firsts, known, bodies)
        hold_back_strict(group, marks)
        return marks

    async def _made_durable(self, group: Group, marks: Marks) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        fresh = marks == Mark.FRESH
        arguments = (group, fresh, past_limit(group, self._policy.ages), self._policy.partitions, self._policy.cut)
        if sum(posted.size for posted in group.requests) > self._policy.thread_bytes:
            frames: list[NewFrame] = await loop.run_in_executor(None, frames_of, *arguments)
        else:
            await give_way()
            frames = frames_of(*arguments)
        await self._sink.append(frames)
        tally_group(self._metrics, int(fresh.sum()), loop.time() - began)
