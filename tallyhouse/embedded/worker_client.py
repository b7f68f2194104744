"""The worker as the gateway sees it: its reported progress, its health, and its seen keys."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec

from ingest_gateway.ingest.duplicate_lookup import SeenKeyLookup
from ingest_gateway.ports import FrameSink
from schemas.errors import Alarm, Halted, StoreFailed
from schemas.flush import PartitionStatus, SeenRows
from schemas.frame import NewFrame
from schemas.logger import CauseLog
from schemas.metrics import Gauge
from schemas.verification import VerificationStatus
from stream_processors.ports import TailedLog
from stream_processors.workers.partition_driver import BOOTING, STUCK, lag_of
from tallyhouse.embedded.report import Report, forward_metrics
from tallyhouse.runtime.clock import monotonic
from tallyhouse.runtime.startup import Runtime

REPORT_TIMEOUT_SECONDS = 5.0
"""A worker reports ten times a second: after this silence it is stopped, or has no processor."""
_ANSWER_TIMEOUT_SECONDS = 1.0
"""For a look-up of seen keys. Its answer only improves the verdict, so no post waits longer for it."""
_POLL_SECONDS = 0.5


class WorkerClient:
    """The `ProcessingStatus` by the worker's last report. Acknowledges counted frames to the log."""

    def __init__(
        self, log: TailedLog, partitions: int, runtime: Runtime, is_stopped: Callable[[], bool] = lambda: False
    ) -> None:
        """`is_stopped` is true while the system holds the worker, for instance after SIGSTOP."""
        self._log = log
        self._runtime = runtime
        self._is_stopped = is_stopped
        self._causes = CauseLog(runtime.logger, monotonic)
        self._first_report = asyncio.Event()
        self._last_report_at: float | None = None
        self._last_report = Report(
            partitions=[_booting_status(partition) for partition in range(partitions)],
            backfills=BOOTING,
            is_healthy=False,
            counted={},
        )

    async def on_report(self, report: Report | None) -> None:
        """Takes the next report, or None if the worker has ended."""
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
            except Alarm as alarm:  # The same alarm has stopped the partition in the worker.
                self._causes.failed(
                    f"partition {partition}", "the log does not hold the frames that the worker has counted", str(alarm)
                )

    @property
    def unavailable_reason(self) -> str | None:
        """Why the worker cannot be queried now, in the words of `PartitionStatus.state`; None if it can."""
        if self._last_report_at is None:
            return BOOTING
        silent_seconds = asyncio.get_running_loop().time() - self._last_report_at
        if silent_seconds < REPORT_TIMEOUT_SECONDS:
            return None
        return f"{STUCK}the worker has not reported for {silent_seconds:.0f} s: was it stopped, or has it no processor?"

    @property
    def log_alarm(self) -> str | None:
        """Why nothing may be accepted; None if the log is whole, as far as known."""
        return self._last_report.log_alarm

    async def why_store_is_absent(self) -> str | None:
        """Why the usage store cannot answer now; None if it can, as far as known."""
        if self._last_report_at is None:
            return "the worker, which holds the usage store, is starting; retry in a moment"
        if self._is_stopped():
            return "the worker, which holds the usage store, is stopped (SIGSTOP, or a debugger): let it continue"
        if self.unavailable_reason:
            return "the worker, which holds the usage store, has stopped reporting: its process hangs, or is starved"
        return None

    async def wait_started(self) -> None:
        """Returns when the first report has arrived."""
        await self._first_report.wait()

    async def partitions(self) -> Sequence[PartitionStatus]:
        """The status of each partition. While the worker restarts, its last progress stands."""
        return [await self._with_current_lag(status) for status in self._last_report.partitions]

    async def backfills(self) -> str:
        return self.unavailable_reason or self._last_report.backfills

    async def verification(self) -> VerificationStatus:
        return self._last_report.verification

    async def check(self) -> None:
        """Raises RuntimeError if the worker is absent, or a partition or the backfill has stopped or is stuck."""
        if unavailable_reason := self.unavailable_reason:
            raise RuntimeError(f"the worker is absent ({unavailable_reason}): its log lines say why")
        if not self._last_report.is_healthy:
            raise RuntimeError(
                "a partition is still booting, or a partition or the backfill has stopped or is stuck: "
                "`tallyhouse status` shows which"
            )

    async def wait_caught_up(self, ends: Mapping[int, int]) -> None:
        """Returns when the frames before `ends` (partition → offset) are counted."""
        while any(status.next_offset < ends[status.partition] for status in self._last_report.partitions):  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)

    async def _with_current_lag(self, status: PartitionStatus) -> PartitionStatus:
        # The gateway knows the log's end before the worker does: events it has just accepted are not counted yet.
        lag = await lag_of(self._log, status.partition, status.next_offset, self._runtime.clock())
        return msgspec.structs.replace(
            status,
            end_offset=lag.end_offset,
            lag_frames=lag.frames,
            lag_seconds=lag.seconds,
            state=self.unavailable_reason or status.state,
        )


class AlarmedSink:
    """The log, which refuses frames after the worker has found that it lacks some: they could be lost."""

    def __init__(self, sink: FrameSink, worker: WorkerClient) -> None:
        self._sink = sink
        self._worker = worker

    async def append(self, frames: Sequence[NewFrame]) -> None:
        """Raises Halted after such an alarm, until the next start of the worker."""
        if alarm := self._worker.log_alarm:
            raise Halted(f"no event is accepted, because it could be lost: {alarm}")
        await self._sink.append(frames)


class WorkerSeenKeys:
    """The worker's seen keys. Ingestion works without them, so no look-up waits for an absent worker."""

    def __init__(self, worker: WorkerClient, seen: SeenKeyLookup) -> None:
        self._worker = worker
        self._seen = seen

    async def find(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        """Raises StoreFailed while the worker is absent, or if it does not answer within a second."""
        if unavailable_reason := self._worker.unavailable_reason:
            raise StoreFailed(f"the worker is absent ({unavailable_reason})")
        answer = asyncio.ensure_future(self._seen.find(partition, below, key_hashes))
        # A late query is not cancelled: a query that was sent cannot be withdrawn, and cancelling it would wait for it.
        await asyncio.wait((answer,), timeout=_ANSWER_TIMEOUT_SECONDS)
        if answer.done():
            return answer.result()
        answer.add_done_callback(lambda late: late.cancelled() or late.exception())
        raise StoreFailed("the worker does not answer in time")


def _booting_status(partition: int) -> PartitionStatus:
    return PartitionStatus(
        partition=partition, flush=None, next_offset=0, end_offset=0, lag_frames=0, lag_seconds=0.0, state=BOOTING
    )
