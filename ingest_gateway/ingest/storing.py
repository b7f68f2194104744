"""A group of requests judged, made durable and answered. The order is the promise."""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np

from ingest_gateway.ingest.batch import PostedBatch
from ingest_gateway.ingest.cooperative import yield_control
from ingest_gateway.ingest.event_group import EventGroup, gather
from ingest_gateway.ingest.frames import frames_of
from ingest_gateway.ingest.hints import DuplicateLookup
from ingest_gateway.ingest.intake_policy import IntakePolicy
from ingest_gateway.ingest.judge import (
    Mark,
    Marks,
    first_rows,
    hold_back_strict,
    mark_ages,
    mark_repeats,
    older_than_limit,
)
from ingest_gateway.ingest.outcome import BatchOutcome
from ingest_gateway.ingest.tally import count_group
from ingest_gateway.ingest.verdicts import outcomes
from ingest_gateway.ports import FrameSink
from schemas.frame import NewFrame
from schemas.metrics import Metrics


class GroupPipeline:
    """One group at a time, for the verdicts on one lean on what was remembered of those before."""

    def __init__(
        self,
        sink: FrameSink,
        duplicates: DuplicateLookup,
        arrival: Callable[[], int],
        policy: IntakePolicy,
        metrics: Metrics,
    ) -> None:
        self._sink = sink
        self._duplicates = duplicates
        self._arrival = arrival
        self._policy = policy
        self._metrics = metrics

    async def store(self, requests: Sequence[PostedBatch]) -> list[BatchOutcome]:
        """Judge, make durable, only then remember and answer. Others are let by between the steps."""
        group = gather(requests, self._arrival())
        marks = await self._judge(group)
        rows = np.flatnonzero(marks == Mark.FRESH)
        if len(rows):
            await self._append(group, marks)
            await yield_control()
            self._duplicates.remember(group, rows)
        return list(outcomes(group, marks, self._policy.age_limits))

    async def _judge(self, group: EventGroup) -> Marks:
        marks = mark_ages(group, self._policy.age_limits)
        firsts = first_rows(group, marks)
        known, bodies = await self._duplicates.find(group, firsts.distinct)
        mark_repeats(group, marks, firsts, known, bodies)
        hold_back_strict(group, marks)
        return marks

    async def _append(self, group: EventGroup, marks: Marks) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        fresh = marks == Mark.FRESH
        arguments = (
            group,
            fresh,
            older_than_limit(group, self._policy.age_limits),
            self._policy.partitions,
            self._policy.frame_limits,
        )
        if sum(posted.size for posted in group.requests) > self._policy.thread_bytes:
            frames: list[NewFrame] = await loop.run_in_executor(None, frames_of, *arguments)
        else:
            await yield_control()
            frames = frames_of(*arguments)
        await self._sink.append(frames)
        count_group(self._metrics, int(fresh.sum()), loop.time() - began)
