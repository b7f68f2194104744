"""The intake: takes what all requests posted, makes it durable together, and gives each request its verdicts.

One background task works on one group at a time. While the log writes a group, the next one gathers: the busier it
is, the larger the groups, and one durable write serves more requests.
"""

import asyncio
from collections.abc import Callable, Sequence
from itertools import chain
from types import TracebackType
from typing import Self

from ingest_gateway.ingest.batch import PostedBatch
from ingest_gateway.ingest.cooperative import yield_control
from ingest_gateway.ingest.hints import DuplicateLookup
from ingest_gateway.ingest.intake_policy import IntakePolicy
from ingest_gateway.ingest.intake_queue import IntakeQueue, PendingRequest
from ingest_gateway.ingest.outcome import BatchOutcome
from ingest_gateway.ingest.recent_keys import RecentKeys
from ingest_gateway.ingest.storing import GroupPipeline
from ingest_gateway.ingest.tally import count_outcomes, count_posted
from ingest_gateway.ingest.verdicts import refused_outright
from ingest_gateway.ports import FrameSink, KeyHints
from schemas.errors import Overloaded, TallyhouseError
from schemas.metrics import Counter, Metrics

_EXPIRY_CHECKS = 30
"""How often within the longest wait it is looked who has waited so long."""


class Intake:
    """`async with Intake(…) as intake: outcome = await intake.submit(posted)`. One event loop.

    `arrival` gives the stamp of what comes now, and never goes back: see `ArrivalClock`.
    """

    def __init__(
        self,
        sink: FrameSink,
        known: KeyHints,
        recent: RecentKeys,
        arrival: Callable[[], int],
        policy: IntakePolicy,
        metrics: Metrics,
    ) -> None:
        self._pipeline = GroupPipeline(
            sink, DuplicateLookup(recent, known, policy.lookup_timeout_seconds), arrival, policy, metrics
        )
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
        """What waits is still taken in, as long as anyone waits for it; nothing new is."""
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
        """The verdicts, once every accepted event is durable. Raises Overloaded; then post the same again."""
        count_posted(self._metrics, posted)
        if not len(posted.good) or (posted.strict and posted.rejections):
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
            # A refusal's traceback has this frame, and the answer has the refusal: a cycle that would keep the body in
            # memory until the collector comes, which is rarely.
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
        """Store one group and answer its requests. Whatever goes wrong, everyone is answered."""
        self._in_flight = waiting
        try:
            found = await self._pipeline.store([each.posted for each in waiting])
        except asyncio.CancelledError:
            self._answer(waiting, Overloaded("the service is stopping; post again in a moment"))
            raise
        except TallyhouseError:
            self._answer(waiting, self._busy("log", "the events could not be stored"))
        except Exception as error:  # A fault of ours must reach the request's log, and not end the intake.
            self._answer(waiting, error)
        else:
            count_outcomes(self._metrics, found)
            for each, outcome in zip(waiting, found, strict=True):
                if not each.answer.done():
                    each.answer.set_result(outcome)
        finally:
            self._in_flight = ()

    def _expire_requests(self) -> None:
        """Send away whoever has waited too long. One timer for all: a timer for each would cost more than its wait."""
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
