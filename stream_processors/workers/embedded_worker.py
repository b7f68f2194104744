"""The worker of embedded mode: one thread, one event loop, one task per partition."""

import asyncio
import threading
from collections.abc import Sequence

from schemas.flush import PartitionStatus
from schemas.logger import Logger, NullLogger
from schemas.verification import VerificationStatus
from stream_processors.workers.backfill_driver import BackfillDriver
from stream_processors.workers.expiry_driver import ExpiryDriver
from stream_processors.workers.partition_driver import PartitionDriver
from stream_processors.workers.policy import WorkerPolicy
from stream_processors.workers.verification_driver import VerificationDriver
from stream_processors.workers.wiring import (
    WorkerDependencies,
    WorkerPolicies,
    backfill_driver,
    expiry_driver,
    partition_driver,
)


class EmbeddedWorker:
    """Processes all partitions in the background from `start` to `stop`. Its status may be read from any event loop."""

    def __init__(
        self,
        drivers: Sequence[PartitionDriver],
        backfill: BackfillDriver,
        expiry: ExpiryDriver,
        policy: WorkerPolicy,
        logger: Logger | None = None,
        verification: VerificationDriver | None = None,
    ) -> None:
        self._verification = verification
        self._drivers = drivers
        self._backfill = backfill
        self._expiry = expiry
        self._policy = policy
        self._logger = logger or NullLogger()
        self._thread = threading.Thread(target=self._run, name="processors", daemon=True)
        self._running = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    def start(self) -> None:
        """Returns when the event loop runs; partitions boot in the background."""
        self._thread.start()
        self._running.wait()

    def stop(self) -> None:
        """Waits for running flushes, for `stop_seconds` at most. The next start continues from the stored claims."""
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    @property
    def is_healthy(self) -> bool:
        """True if it runs, and no partition and no backfill is stopped by an alarm or stuck."""
        if not self._thread.is_alive() or self._backfill.needs_operator:
            return False
        return not any(driver.has_stopped or driver.is_stuck for driver in self._drivers)

    @property
    def has_booted(self) -> bool:
        """True once every partition has found the store whole and read its position."""
        return all(driver.has_booted for driver in self._drivers)

    @property
    def log_alarm(self) -> str | None:
        """The first alarm of a partition whose log lacks frames; None if there is none."""
        return next((driver.log_alarm for driver in self._drivers if driver.log_alarm is not None), None)

    async def partitions(self) -> Sequence[PartitionStatus]:
        """The status of each partition."""
        return [await driver.status() for driver in self._drivers]

    async def backfills(self) -> str:
        """The state of the backfills."""
        return self._backfill.state

    @property
    def verification(self) -> VerificationStatus:
        """How far usage is verified."""
        return VerificationStatus() if self._verification is None else self._verification.status

    def _is_caught_up(self) -> bool:
        return all(driver.is_caught_up for driver in self._drivers)

    def _run(self) -> None:
        asyncio.run(self._work())

    async def _work(self) -> None:
        self._loop = asyncio.get_running_loop()
        counting = [asyncio.create_task(driver.run()) for driver in self._drivers]
        background = [asyncio.create_task(task) for task in (self._backfill.run(), self._expiry.run(), self._report())]
        if self._verification is not None:
            background.append(asyncio.create_task(self._verification.run(self._is_caught_up)))
        self._running.set()
        await self._stop.wait()
        for driver in self._drivers:
            driver.stop()
        await self._end(counting, background)

    async def _end(self, counting: Sequence[asyncio.Task[None]], background: Sequence[asyncio.Task[None]]) -> None:
        for task in background:
            task.cancel()
        _, late = await asyncio.wait(counting, timeout=self._policy.stop_seconds)
        if late:
            self._logger.warning(
                "flushes were cancelled to stop in time; the next start redoes them", flushes=len(late)
            )
        for task in late:
            task.cancel()
        await asyncio.gather(*counting, *background, return_exceptions=True)

    async def _report(self) -> None:
        while True:
            for driver in self._drivers:
                try:
                    await driver.report()
                except Exception:
                    self._logger.exception("lag could not be measured")
            await asyncio.sleep(self._policy.report_seconds)


def build_embedded_worker(
    dependencies: WorkerDependencies, policies: WorkerPolicies, verification: VerificationDriver | None = None
) -> EmbeddedWorker:
    """A worker that processes all partitions from its `start` to its `stop`."""
    log = dependencies.log
    return EmbeddedWorker(
        [partition_driver(number, log, dependencies, policies) for number in range(policies.partitions)],
        backfill_driver(dependencies, policies),
        expiry_driver(dependencies, policies),
        policies.worker,
        dependencies.logger,
        verification,
    )
