"""Decides whether this gateway may append: only to the log that the usage is counted from, and with a right clock.

It looks every 10 seconds, and in between with what every append shows: offsets that begin again, a clock that jumps.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from ingest_gateway.ingest.arrival_clock import ArrivalClock, LogEnd, last_arrivals
from ingest_gateway.ports import FrameSink
from schemas.errors import Conflict, IdentityChanged, Overloaded
from schemas.frame import NewFrame
from schemas.logger import Logger
from schemas.timestamps import SECOND, to_iso
from tallyhouse.cluster.clock_skew import ClockSource, VerifiedClock, believable

LOOK_SECONDS = 10.0
_RETRY_AFTER = 10


class WatchedLog(LogEnd, Protocol):
    """The log, whose end other processes move, and which its operators may replace."""

    async def refresh_ends(self) -> None: ...

    async def verify_for_appends(self) -> None:
        """Raises IdentityChanged unless the topic is the log that the usage is counted from, as large as it was."""
        ...


class Refusals:
    """The reasons why nothing may be appended here, by cause. Each is logged when it begins and when it ends."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self._reasons: dict[str, str] = {}

    def begin(self, cause: str, reason: str) -> None:
        if cause not in self._reasons:
            self._logger.error("posts are refused: an operator must act", cause=cause, alarm=reason)
        self._reasons[cause] = reason

    def end(self, cause: str) -> None:
        if self._reasons.pop(cause, None) is not None:
            self._logger.info("posts are accepted again", cause=cause)

    def check(self) -> None:
        """Raises Overloaded if there is a reason."""
        for reason in self._reasons.values():
            raise Overloaded(f"nothing can be stored at present: {reason}", retry_after=_RETRY_AFTER)


class AdmissionSink:
    """A sink that refuses what may not be appended."""

    def __init__(self, sink: FrameSink, refusals: Refusals) -> None:
        self._sink = sink
        self._refusals = refusals

    async def append(self, frames: Sequence[NewFrame]) -> None:
        """All frames are durable in this log when it returns. Raises Overloaded."""
        self._refusals.check()
        await self._sink.append(frames)


class Admission:
    """The looks at log and clock, and what follows from them."""

    def __init__(
        self, log: WatchedLog, store: ClockSource, clock: VerifiedClock, partitions: int, logger: Logger
    ) -> None:
        self._log = log
        self._store = store
        self._clock = clock
        self._partitions = partitions
        self._logger = logger
        self.refusals = Refusals(logger)
        self._ignored: dict[int, int] = {}

    async def verify_log(self) -> None:
        """Raises IdentityChanged, and refuses posts from then on, if the log is not the one it was."""
        try:
            await self._log.verify_for_appends()
        except IdentityChanged as error:
            self.refusals.begin("log", str(error))
            raise
        self.refusals.end("log")

    async def compare_clock(self) -> None:
        """Raises Conflict, and refuses posts from then on, if the clock is wrong."""
        try:
            await self._clock.compare(self._store)
        except Conflict as error:
            self.refusals.begin("clock", str(error))
            raise
        self.refusals.end("clock")

    async def watch(
        self, arrivals: ArrivalClock, *, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> None:
        """Looks every 10 s until cancelled."""
        while True:
            await sleep(LOOK_SECONDS)
            await self._try(self.compare_clock, "this machine's clock could not be compared with the usage store's")
            await self._try(self.verify_log, "the brokers did not say which log this is")
            await self._try(lambda: self._follow(arrivals), "the newest arrivals of other gateways could not be read")

    async def _try(self, look: Callable[[], Awaitable[None]], otherwise: str) -> None:
        try:
            await look()
        except (IdentityChanged, Conflict):
            pass  # The refusal was logged when it began.
        except Exception as error:
            self._logger.warning(otherwise, reason=str(error))

    async def _follow(self, arrivals: ArrivalClock) -> None:
        """Raises this gateway's arrivals to the newest in the log: here a retry must not look younger than its first
        attempt at another gateway."""
        await self._log.refresh_ends()
        found = await last_arrivals(self._log, self._partitions)
        try:
            now = self._clock.now()
        except Overloaded:
            return
        followed = believable(found.values(), now)
        arrivals.not_before(max(followed, default=0))
        self._report_ignored({p: arrival for p, arrival in found.items() if not believable([arrival], now)}, now)

    def _report_ignored(self, ignored: dict[int, int], now: int) -> None:
        for partition, arrival in ignored.items():
            if arrival > self._ignored.get(partition, 0):
                self._logger.error(
                    "the newest frame of a partition arrived in the future: another clock was wrong when it was "
                    "written. It is counted, and this gateway does not follow its arrival",
                    partition=partition,
                    arrival=to_iso(arrival),
                    ahead_seconds=(arrival - now) // SECOND,
                )
        self._ignored = ignored
