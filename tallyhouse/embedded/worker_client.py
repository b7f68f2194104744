"""The worker as the gateway sees it: heard from, and told about to whoever asks."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from ingest_gateway.ingest.duplicate_lookup import SeenKeys
from schemas.errors import Alarm, StoreFailed
from schemas.flush import PartitionStatus, SeenRows
from schemas.metrics import Gauge
from stream_processors.ports import TailedLog
from stream_processors.workers.lag import lag_of
from stream_processors.workers.partition_driver import BOOTING, STUCK
from tallyhouse.embedded.report import Report, pass_on
from tallyhouse.runtime.context import Surroundings

SILENT_SECONDS = 5.0
"""Who reports ten times a second and was not heard of for so long has stopped, or has no processor."""
_PATIENCE_SECONDS = 1.0
"""For an answer about keys: it makes replies honest, and is not worth a wait."""
_LOOK_SECONDS = 0.5


class Worker:
    """`Status`, by the last report. What a report says is counted, the log may delete."""

    def __init__(self, log: TailedLog, partitions: int, around: Surroundings) -> None:
        self._log = log
        self._around = around
        self._heard = asyncio.Event()
        self._heard_at: float | None = None
        self._last = Report(
            partitions=[_unknown(partition) for partition in range(partitions)],
            backfills=BOOTING,
            is_well=False,
            counted={},
        )

    async def hear(self, report: Report | None) -> None:
        """The next report; None where the worker has ended."""
        self._heard_at = asyncio.get_running_loop().time() if report else None
        if report is None:
            return
        self._last = report
        self._heard.set()
        pass_on(report.numbers, self._around.metrics)
        self._around.metrics.set(Gauge.WORKER_MEMORY, report.memory)
        for partition, last in report.counted.items():
            try:
                await self._log.acknowledge(partition, last)
            except Alarm:  # Its partition has stopped by the same alarm.
                self._around.logger.exception("what is counted is not in the log", partition=partition)

    @property
    def absence(self) -> str | None:
        """Why it cannot be asked now, as in `PartitionStatus.state`; None where it can."""
        if self._heard_at is None:
            return BOOTING
        silence = asyncio.get_running_loop().time() - self._heard_at
        if silence < SILENT_SECONDS:
            return None
        return f"{STUCK}the worker was not heard of for {silence:.0f} s: was it stopped, or has it no processor?"

    async def started(self) -> None:
        """Returns when it has told of itself."""
        await self._heard.wait()

    async def partitions(self) -> Sequence[PartitionStatus]:
        """How far each partition is counted. Who is being started again is where it was."""
        return [await self._seen_from_here(told) for told in self._last.partitions]

    async def backfills(self) -> str:
        """The counting of the past for new meters."""
        return self.absence or self._last.backfills

    async def check(self) -> None:
        """Raises where it is not there, or a partition has stopped or is stuck."""
        if absence := self.absence:
            raise RuntimeError(f"the worker is absent ({absence}): its log lines tell why")
        if not self._last.is_well:
            raise RuntimeError("a partition has stopped or is stuck: `tallyhouse status` tells which and why")

    async def caught_up(self, ends: Mapping[int, int]) -> None:
        """Returns when all frames before these are counted."""
        while any(told.next_offset < ends[told.partition] for told in self._last.partitions):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)  # Nobody is in a hurry.

    async def _seen_from_here(self, told: PartitionStatus) -> PartitionStatus:
        """Here it is known earlier how far the log reaches: what was just answered for is not counted yet."""
        lag = await lag_of(self._log, told.partition, told.next_offset, self._around.clock())
        return msgspec.structs.replace(
            told,
            end_offset=lag.end_offset,
            lag_frames=lag.frames,
            lag_seconds=lag.seconds,
            state=self.absence or told.state,
        )


class KeysOfTheWorker:
    """Seen keys, asked for only while the worker is there: events are taken in without it, and nothing waits for it."""

    def __init__(self, worker: Worker, seen: SeenKeys) -> None:
        self._worker = worker
        self._seen = seen

    async def find(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        """Raises StoreFailed while it is not, or where it does not answer soon."""
        if absence := self._worker.absence:
            raise StoreFailed(f"the worker is absent ({absence})")
        answer = asyncio.ensure_future(self._seen.find(partition, below, key_hashes))
        # Not cancelled when it is late: a question that was sent cannot be taken back, and would be waited for.
        await asyncio.wait((answer,), timeout=_PATIENCE_SECONDS)
        if answer.done():
            return answer.result()
        answer.add_done_callback(lambda late: late.cancelled() or late.exception())
        raise StoreFailed("the worker does not answer in time")


def _unknown(partition: int) -> PartitionStatus:
    return PartitionStatus(
        partition=partition, flush=None, next_offset=0, end_offset=0, lag_frames=0, lag_seconds=0.0, state=BOOTING
    )
