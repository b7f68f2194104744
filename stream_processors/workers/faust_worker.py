"""The worker of cluster mode: a Faust app, rebuilt whenever it crashes, and the partitions it owns."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import faust

from schemas.errors import Alarm, StoreFailed
from schemas.flush import PartitionStatus
from schemas.logger import Logger, NullLogger
from stream_processors.backends.log.buffered import BufferedLog
from stream_processors.flushing.policy import Pause
from stream_processors.ports import TailedLog
from stream_processors.workers.faust_app import build_app
from stream_processors.workers.faust_consumer import abort_consumer
from stream_processors.workers.faust_partitions import OwnedPartitions
from stream_processors.workers.faust_settings import StreamSettings
from stream_processors.workers.policy import WorkerPolicy, exponential_backoff
from stream_processors.workers.wiring import (
    WorkerDependencies,
    WorkerPolicies,
    backfill_driver,
    expiry_driver,
    partition_driver,
)

_ABORT_ATTEMPTS, _ABORT_WAIT_SECONDS = 20, 0.25


class FaustWorker:
    """Processes the partitions its group assigns while `run` runs, across outages of the brokers."""

    def __init__(
        self,
        settings: StreamSettings,
        owned: OwnedPartitions,
        policy: WorkerPolicy,
        *,
        partition_count: int,
        refresh_ends: Callable[[], Awaitable[None]],
        logger: Logger | None = None,
        pause: Pause = exponential_backoff,
    ) -> None:
        self._settings = settings
        self._owned = owned
        self._policy = policy
        self._partition_count = partition_count
        self._refresh_ends = refresh_ends
        self._logger = logger or NullLogger()
        self._pause = pause
        self._stopping = asyncio.Event()
        self._alarm: Alarm | None = None

    @property
    def is_healthy(self) -> bool:
        """True if it runs, the log is the one it was, and no owned partition is stopped by an alarm or stuck."""
        return not self._stopping.is_set() and self._alarm is None and self._owned.is_healthy

    async def partitions(self) -> Sequence[PartitionStatus]:
        """The status of each owned partition."""
        return await self._owned.statuses()

    def stop(self) -> None:
        """Makes `run` finish the running flushes, leave the group and return."""
        self._stopping.set()

    async def run(self) -> None:
        """Processes until `stop`. A crashed app is discarded; the next one continues from the stored claims."""
        reporting = asyncio.create_task(self._report())
        try:
            attempt = 0
            while not self._stopping.is_set():
                if await self._run_once():
                    attempt = 0
                else:
                    attempt += 1
                    await self._rest(attempt)
        finally:
            reporting.cancel()
            await asyncio.wait([reporting])

    async def _run_once(self) -> bool:
        """Runs one app from start to end; True if it started."""
        if not await self._brokers_answer():
            return False
        app = build_app(self._settings, self._owned, self._partition_count)
        has_started = False
        try:
            await app.start()
            has_started = True
            await app.wait(self._stopping.wait())
            if app.crashed:
                self._logger.error("the stream crashed, it is rebuilt", error=repr(app.crash_reason))
        except Exception:
            self._logger.exception("the stream did not start, retrying")
        finally:
            try:
                await self._owned.finish(self._policy.stop_seconds)
            finally:
                await self._end(app)
                await self._owned.finish(self._settings.revoke_seconds)  # Partitions assigned while it was leaving.
        return has_started

    async def _brokers_answer(self) -> bool:
        """True if the brokers answer. An app that starts without brokers does not clean up after itself."""
        try:
            await self._refresh_ends()
        except StoreFailed as error:
            self._logger.warning("the brokers do not answer; nothing is counted until they do", error=str(error))
            return False
        except Alarm as alarm:
            self._raise_alarm(alarm)
            return False
        return True

    def _raise_alarm(self, alarm: Alarm) -> None:
        if self._alarm is None:
            self._logger.error("nothing is counted: an operator must act", alarm=str(alarm))
        self._alarm = alarm

    async def _end(self, app: faust.App) -> None:
        stopping = asyncio.create_task(app.stop())
        await asyncio.wait({stopping}, timeout=self._settings.stop_seconds)
        for _ in range(_ABORT_ATTEMPTS):
            if stopping.done():
                break
            abort_consumer(app)
            await asyncio.wait({stopping}, timeout=_ABORT_WAIT_SECONDS)
        if not stopping.done() or stopping.cancelled() or stopping.exception():
            self._logger.error("the stream did not stop cleanly: are the brokers unreachable?")

    async def _rest(self, attempt: int) -> None:
        resting = asyncio.ensure_future(self._pause(attempt))
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({resting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in (resting, stopping):
            task.cancel()

    async def _report(self) -> None:
        while True:
            try:
                await self._refresh_ends()
                self._alarm = None
                await self._owned.report()
            except Alarm as alarm:
                self._raise_alarm(alarm)
            except Exception:
                self._logger.exception("lag could not be measured")
            await asyncio.sleep(self._policy.report_seconds)


class EndOffsetLog(TailedLog, Protocol):
    """The log itself; its end offsets are those of the last refresh."""

    async def refresh_ends(self) -> None:
        """Reads the end offsets of all partitions. Raises StoreFailed, and IdentityChanged as `verify` does."""
        ...

    async def verify(self) -> None:
        """Raises IdentityChanged if this is no longer the log that the usage was counted from."""
        ...


class FaustDependencies(WorkerDependencies, frozen=True, kw_only=True):
    """A cluster worker must refresh the end offsets itself: other processes append to the log."""

    log: EndOffsetLog


def build_faust_worker(
    stream: StreamSettings, dependencies: FaustDependencies, policies: WorkerPolicies
) -> FaustWorker:
    """A worker that processes the partitions its group assigns to it while its `run` runs."""
    frames = BufferedLog(dependencies.log, stream.buffer_bytes, dependencies.log.verify)
    owned = OwnedPartitions(
        frames,
        lambda number: partition_driver(number, frames, dependencies, policies),
        lambda: (backfill_driver(dependencies, policies).run(), expiry_driver(dependencies, policies).run()),
        revoke_seconds=stream.revoke_seconds,
        logger=dependencies.logger,
        metrics=dependencies.metrics,
    )
    return FaustWorker(
        stream,
        owned,
        policies.worker,
        partition_count=policies.partitions,
        refresh_ends=dependencies.log.refresh_ends,
        logger=dependencies.logger,
        pause=dependencies.pause,
    )
