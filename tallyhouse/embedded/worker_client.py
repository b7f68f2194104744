"""The worker as the gateway sees it: heard from, and told about to whoever asks."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from ingest_gateway.ingest.duplicate_lookup import SeenKeyLookup
from schemas.errors import Alarm, StoreFailed
from schemas.flush import PartitionStatus, SeenRows
from schemas.metrics import Gauge
from stream_processors.ports import TailedLog
from stream_processors.workers.lag import lag_of
from stream_processors.workers.partition_driver import BOOTING, STUCK
from tallyhouse.embedded.report import Report, forward_metrics
from tallyhouse.runtime.context import Runtime

REPORT_TIMEOUT_SECONDS = 5.0
"""Who reports ten times a second and was not heard of for so long has stopped, or has no processor."""
_ANSWER_TIMEOUT_SECONDS = 1.0
"""For an answer about keys: it makes replies honest, and is not worth a wait."""
_POLL_SECONDS = 0.5


class WorkerClient:
    """`Status`, by the last report. What a report says is counted, the log may delete."""

    def __init__(self, log: TailedLog, partitions: int, runtime: Runtime) -> None:
        self._log = log
        self._runtime = runtime
        self._first_report = asyncio.Event()
        self._last_report_at: float | None = None
        self._last_report = Report(
            partitions=[_booting_status(partition) for partition in range(partitions)],
            backfills=BOOTING,
            is_healthy=False,
            counted={},
        )

    async def on_report(self, report: Report | None) -> None:
        """The next report; None where the worker has ended."""
        self._last_report_at = asyncio.get_running_loop().time() if report else None
        if report is None:
            return
        self._last_report = report
        self._first_report.set()
        forward_metrics(report.samples, self._runtime.metrics)
        self._runtime.metrics.set(Gauge.WORKER_MEMORY, report.memory)
        for partition, last in report.counted.items():
            try:
                await self._log.acknowledge(partition, last)
            except Alarm:  # Its partition has stopped by the same alarm.
                self._runtime.logger.exception("what is counted is not in the log", partition=partition)

    @property
    def unavailable_reason(self) -> str | None:
        """Why it cannot be asked now, as in `PartitionStatus.state`; None where it can."""
        if self._last_report_at is None:
            return BOOTING
        silent_seconds = asyncio.get_running_loop().time() - self._last_report_at
        if silent_seconds < REPORT_TIMEOUT_SECONDS:
            return None
        return f"{STUCK}the worker was not heard of for {silent_seconds:.0f} s: was it stopped, or has it no processor?"

    async def wait_started(self) -> None:
        """Returns when it has told of itself."""
        await self._first_report.wait()

    async def partitions(self) -> Sequence[PartitionStatus]:
        """How far each partition is counted. Who is being started again is where it was."""
        return [await self._with_current_lag(status) for status in self._last_report.partitions]

    async def backfills(self) -> str:
        """The counting of the past for new meters."""
        return self.unavailable_reason or self._last_report.backfills

    async def check(self) -> None:
        """Raises where it is not there, or a partition has stopped or is stuck."""
        if unavailable_reason := self.unavailable_reason:
            raise RuntimeError(f"the worker is absent ({unavailable_reason}): its log lines tell why")
        if not self._last_report.is_healthy:
            raise RuntimeError("a partition has stopped or is stuck: `tallyhouse status` tells which and why")

    async def wait_caught_up(self, ends: Mapping[int, int]) -> None:
        """Returns when all frames before these are counted."""
        while any(status.next_offset < ends[status.partition] for status in self._last_report.partitions):  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)  # Nobody is in a hurry.

    async def _with_current_lag(self, status: PartitionStatus) -> PartitionStatus:
        """Here it is known earlier how far the log reaches: what was just answered for is not counted yet."""
        lag = await lag_of(self._log, status.partition, status.next_offset, self._runtime.clock())
        return msgspec.structs.replace(
            status,
            end_offset=lag.end_offset,
            lag_frames=lag.frames,
            lag_seconds=lag.seconds,
            state=self.unavailable_reason or status.state,
        )


class WorkerSeenKeys:
    """Seen keys, asked for only while the worker is there: events are taken in without it, and nothing waits for it."""

    def __init__(self, worker: WorkerClient, seen: SeenKeyLookup) -> None:
        self._worker = worker
        self._seen = seen

    async def find(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        """Raises StoreFailed while it is not, or where it does not answer soon."""
        if unavailable_reason := self._worker.unavailable_reason:
            raise StoreFailed(f"the worker is absent ({unavailable_reason})")
        answer = asyncio.ensure_future(self._seen.find(partition, below, key_hashes))
        # Not cancelled when it is late: a question that was sent cannot be taken back, and would be waited for.
        await asyncio.wait((answer,), timeout=_ANSWER_TIMEOUT_SECONDS)
        if answer.done():
            return answer.result()
        answer.add_done_callback(lambda late: late.cancelled() or late.exception())
        raise StoreFailed("the worker does not answer in time")


def _booting_status(partition: int) -> PartitionStatus:
    return PartitionStatus(
        partition=partition, flush=None, next_offset=0, end_offset=0, lag_frames=0, lag_seconds=0.0, state=BOOTING
    )
