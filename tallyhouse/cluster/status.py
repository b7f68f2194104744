"""The status of a cluster, as every process can calculate it: flushes done in the store, compared with the log.

Which worker owns a partition, and why its flush fails, is known only to that worker: see its logs and metrics.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from schemas.errors import Alarm, StoreFailed
from schemas.flush import FlushProgress, PartitionStatus
from schemas.verification import VerificationStatus
from stream_processors.ports import Claims, TailedLog
from stream_processors.workers.partition_driver import COUNTING, STOPPED, STUCK, Lag, WaitingFrames, lag_of

STUCK_SECONDS = 60.0
"""From this lag on, a partition is reported as stuck."""

ANSWER_SECONDS = 1.5
"""Below the time after which the API leaves a part of the status out."""
_FIRST_SECONDS = 0.9
"""For the first question, which a silent log does not answer; the rest of the time is left for the store."""

UNKNOWN = "unknown: "
"""A part of the cluster does not answer; the rest of the status is what is known without it."""

_Result = TypeVar("_Result")

_BACKFILLS = "each meter reports its own: GET /v1/meters/{code}"


class ExternalLog(TailedLog, Protocol):
    """The log, whose end other processes move."""

    async def refresh_ends(self) -> None:
        """Reads the end offsets of all partitions again."""
        ...


class ForeignRecordCounts(Protocol):
    """The stored reports of records that are no frames."""

    async def counts(self) -> Mapping[int, int]:
        """How many each partition has that has any."""
        ...


class _InStore(NamedTuple):
    """What the usage store knows."""

    progress: Sequence[FlushProgress | None]
    foreign: Mapping[int, int]


class ClusterStatus:
    """The `ProcessingStatus` of the whole cluster, for a process that counts nothing itself.

    It answers within two seconds with what is known: the state names a part that does not answer.
    """

    def __init__(
        self,
        claims: Claims,
        log: ExternalLog,
        foreign: ForeignRecordCounts,
        partitions: int,
        clock: Callable[[], int],
        monotonic: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._claims = claims
        self._log = log
        self._foreign = foreign
        self._partitions = range(partitions)
        self._clock = clock
        self._waiting = WaitingFrames(monotonic)
        self._ask_log, self._ask_store = _Question("the log (Kafka)"), _Question("the usage store")

    async def partitions(self) -> Sequence[PartitionStatus]:
        # The start of the log is read before the store, and its end after it: frames that are counted or deleted in
        # between must look neither like a gap nor like a log that ends too early.
        loop = asyncio.get_running_loop()
        deadline = loop.time() + ANSWER_SECONDS
        held_from = await self._ask_log.ask(self._held_from, _FIRST_SECONDS)
        in_store = await self._ask_store.ask(self._in_store, deadline - loop.time())
        if isinstance(in_store, str):
            return [_unknown(number, self._log.end_offset(number), in_store) for number in self._partitions]
        if isinstance(held_from, str):
            return [self._without_log(number, in_store, held_from) for number in self._partitions]
        lags = await self._ask_log.ask(lambda: self._lags(in_store), deadline - loop.time())
        if isinstance(lags, str):
            return [self._without_log(number, in_store, lags) for number in self._partitions]
        return [self._status(number, in_store, held_from[number], lags[number]) for number in self._partitions]

    async def backfills(self) -> str:
        return _BACKFILLS

    async def verification(self) -> VerificationStatus:
        """Off: in a cluster `tallyhouse verify` compares on request."""
        return VerificationStatus()

    async def _held_from(self) -> list[int]:
        return await asyncio.gather(*map(self._log.first_offset, self._partitions))

    async def _in_store(self) -> "_InStore":
        progress = await asyncio.gather(*map(self._claims.progress, self._partitions))
        return _InStore(progress, await self._foreign.counts())

    async def _lags(self, in_store: "_InStore") -> list[Lag]:
        await self._log.refresh_ends()
        now = self._clock()
        offsets = [next_flush(progress)[1] for progress in in_store.progress]
        return await asyncio.gather(*(lag_of(self._log, p, offset, now) for p, offset in enumerate(offsets)))

    def _status(self, partition: int, in_store: "_InStore", held_from: int, lag: Lag) -> PartitionStatus:
        number, offset = next_flush(in_store.progress[partition])
        seconds = max(lag.seconds, self._waiting.seconds(partition, offset, lag.frames))
        return PartitionStatus(
            partition=partition,
            flush=number - 1 if number else None,
            next_offset=offset,
            end_offset=lag.end_offset,
            lag_frames=lag.frames,
            lag_seconds=seconds,
            foreign_records=in_store.foreign.get(partition, 0),
            state=lag.alarm or _state(offset, held_from, lag.end_offset, seconds),
        )

    def _without_log(self, partition: int, in_store: "_InStore", state: str) -> PartitionStatus:
        """What the store knows, and the end of the log as it was last reported."""
        number, offset = next_flush(in_store.progress[partition])
        end = self._log.end_offset(partition)
        # No lag would mean that everything is counted, which is not known.
        lag_frames = max(end - offset, 1)
        return PartitionStatus(
            partition=partition,
            flush=number - 1 if number else None,
            next_offset=offset,
            end_offset=end,
            lag_frames=lag_frames,
            lag_seconds=self._waiting.seconds(partition, offset, lag_frames),
            foreign_records=in_store.foreign.get(partition, 0),
            state=state,
        )


class _Question:
    """Asks one part of the cluster, one question at a time: a query to a store cannot be withdrawn."""

    def __init__(self, part: str) -> None:
        self._part = part
        self._unanswered: asyncio.Task[Any] | None = None

    async def ask(self, question: Callable[[], Coroutine[Any, Any, _Result]], seconds: float) -> _Result | str:
        """The result, or the state of a partition that says why there is none."""
        if self._unanswered is not None:
            return self._silence
        task = asyncio.create_task(question())
        await asyncio.wait([task], timeout=max(seconds, 0))
        if not task.done():
            self._unanswered = task
            task.add_done_callback(self._forget)
            task.cancel()
            return self._silence
        try:
            return task.result()
        except Alarm as alarm:
            return f"{STOPPED}{alarm}"
        except StoreFailed as error:
            return f"{self._silence}: {error}"

    @property
    def _silence(self) -> str:
        return f"{UNKNOWN}{self._part} does not answer"

    def _forget(self, ended: asyncio.Task[Any]) -> None:
        self._unanswered = None
        if not ended.cancelled():
            ended.exception()  # Retrieved, so that it is not logged.


def _unknown(partition: int, end: int, state: str) -> PartitionStatus:
    return PartitionStatus(
        partition=partition,
        flush=None,
        next_offset=0,
        end_offset=end,
        lag_frames=max(end, 1),
        lag_seconds=0.0,
        state=state,
    )


def next_flush(progress: FlushProgress | None) -> tuple[int, int]:
    """The number and the first offset of the first flush that is not known to be done."""
    if progress is None:
        return 0, 0
    claim = progress.claim
    return (claim.number + 1, claim.last + 1) if progress.done else (claim.number, claim.first)


def _state(offset: int, held_from: int, end: int, lag_seconds: float) -> str:
    """The state of a partition: a worker's alarms, or `stuck` for every other problem, seen as a growing lag."""
    if held_from > offset:
        return (
            f"{STOPPED}frames {offset} to {held_from - 1} were never counted and are no longer in the log: restore the "
            "log from a copy that has them"
        )
    if end < offset:
        return (
            f"{STOPPED}frames up to {offset - 1} are counted, but the log ends at {end - 1}: it is older than the "
            "usage store; restore the two together"
        )
    if lag_seconds > STUCK_SECONDS:
        return (
            f"{STUCK}its oldest frame has been waiting for {lag_seconds:.0f} s: no worker counts this partition, or "
            "too slowly, or its flush fails; the workers' logs and metrics say which"
        )
    return COUNTING
