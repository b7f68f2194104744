"""A group of requests judged, made durable and answered. The order is the promise."""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np

from ingest_gateway.ingest.batch import Posted
from ingest_gateway.ingest.cooperative import give_way
from ingest_gateway.ingest.event_group import Group, gather
from ingest_gateway.ingest.frames import frames_of
from ingest_gateway.ingest.hints import Hints
from ingest_gateway.ingest.intake_policy import IntakePolicy
from ingest_gateway.ingest.judge import (
    Mark,
    Marks,
    first_rows,
    hold_back_strict,
    mark_ages,
    mark_repeats,
    past_limit,
)
from ingest_gateway.ingest.outcome import Outcome
from ingest_gateway.ingest.tally import tally_group
from ingest_gateway.ingest.verdicts import outcomes
from ingest_gateway.ports import FrameSink
from schemas.frame import NewFrame
from schemas.metrics import Metrics


class Storing:
    """One group at a time, for the verdicts on one lean on what was remembered of those before."""

    def __init__(
        self, sink: FrameSink, hints: Hints, arrival: Callable[[], int], policy: IntakePolicy, metrics: Metrics
    ) -> None:
        self._sink = sink
        self._hints = hints
        self._arrival = arrival
        self._policy = policy
        self._metrics = metrics

    async def store(self, requests: Sequence[Posted]) -> list[Outcome]:
        """Judge, make durable, only then remember and answer. Others are let by between the steps."""
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
