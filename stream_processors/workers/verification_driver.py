"""Verifies usage in idle time: first the hours of events that arrived since the last pass, then older days again.

A pass notes the newest arrival while nothing waits, compares every hour that has events since the pass before, and has
then verified up to that arrival. Its position is stored, so it survives a restart. It never runs while a frame waits,
and recounts so many events a second at most, on average.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from schemas.ids import AccountId
from schemas.logger import Logger, NullLogger
from schemas.metrics import Gauge, Metrics, NullMetrics
from schemas.timestamps import DAY, SECOND, to_iso
from schemas.verification import MeterDay, SpanKey, UsageDifference, VerificationStatus, Verified, VerifiedPosition
from stream_processors.flushing.retry import error_text

_HOUR = 3600 * SECOND
_END = 2**32 * SECOND
"""Usage reaches so far."""

_EVENTS_PER_CALL = 10_000
_BUSY_SECONDS = 0.2
_QUIET_SECONDS = 1.0
_DIFFERENT_SECONDS = 60.0
_FAILED_SECONDS = 10.0
_AGAIN_SECONDS = 3600.0
"""The pause between two passes over all days."""

_MOST_LOGGED = 20


class VerifiedPositions(Protocol):
    """Where the position is stored."""

    async def read(self) -> VerifiedPosition: ...

    async def record(self, position: VerifiedPosition) -> None:
        """The position is on disk when this returns."""
        ...


class Verification(Protocol):
    """Comparisons of usage with its events."""

    async def accounts(self) -> Sequence[AccountId]: ...

    async def newest_arrival(self) -> int | None:
        """Of all events; None if there are none."""
        ...

    async def days(
        self, accounts: Sequence[AccountId], start: int, end: int, *, since: int | None = None, span: int = DAY
    ) -> Sequence[MeterDay]:
        """The days, or other spans, that have anything to compare; with `since` those of events that arrived then."""
        ...

    async def verify(
        self, account: AccountId, meter: str, start: int, end: int, *, cursor: str | None, limit: int
    ) -> Verified: ...


class VerificationDriver:
    """Runs until cancelled. A failure only delays verification."""

    def __init__(
        self,
        verification: Verification,
        positions: VerifiedPositions,
        rate: int,
        *,
        logger: Logger | None = None,
        metrics: Metrics | None = None,
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`rate` is the number of events to recount per second; 0 turns it off."""
        self._verification = verification
        self._positions = positions
        self._rate = rate
        self._logger = logger or NullLogger()
        self._metrics = metrics or NullMetrics()
        self._rest = rest
        self._monotonic = monotonic
        self._position = VerifiedPosition()
        self._differences: dict[SpanKey, tuple[UsageDifference, int]] = {}
        self._failure: str | None = None
        self._caught_up = False
        self._checked_all_at: float | None = None

    @property
    def status(self) -> VerificationStatus:
        """May be read from any thread."""
        until = self._position.until or None
        return VerificationStatus(state=self._state(), verified_until=until)

    def _state(self) -> str:
        if not self._rate:
            return "off"
        if self._differences:
            return self._described()
        if self._failure:
            return f"retrying: {self._failure}"
        return "verified" if self._caught_up else "verifying"

    def _described(self) -> str:
        first, _ = next(iter(self._differences.values()))
        count = sum(count for _, count in self._differences.values())
        return (
            f"different: {count} differences between usage and its events, such as {describe(first)}. "
            "`tallyhouse verify` lists them; `tallyhouse repair --usage` counts all usage again"
        )

    async def run(self, is_idle: Callable[[], bool]) -> None:
        if not self._rate:
            return
        is_read = False
        while True:
            try:
                if not is_read:
                    self._position = await self._positions.read()
                    is_read = True
                await self.step(is_idle)
                self._failure = None
            except Exception as error:
                if self._failure != (text := error_text(error)):
                    self._failure = text
                    self._logger.exception("usage could not be verified, retrying")
                await self._rest(_FAILED_SECONDS)

    async def step(self, is_idle: Callable[[], bool]) -> None:
        """One pass, or a pause if there is nothing to compare."""
        self._report()
        if not is_idle():
            await self._rest(_BUSY_SECONDS)
            return
        newest = await self._verification.newest_arrival()
        # Nothing waited before and after: every event up to the newest is counted.
        if not is_idle():
            return
        if newest is not None and newest > self._position.until:
            self._caught_up = False
            await self._verify_new(newest, is_idle)
        else:
            self._caught_up = True
            await self._verify_again(is_idle)

    async def _verify_new(self, newest: int, is_idle: Callable[[], bool]) -> None:
        accounts = await self._verification.accounts()
        since = self._position.until + 1 if self._position.until else None
        spans = await self._verification.days(accounts, 0, _END, since=since, span=_HOUR)
        is_complete = True
        for span in spans:
            is_complete &= await self._verify_span(span, _HOUR, is_idle)
        if is_complete and not self._differences:
            self._position = self._position._replace(until=newest)
            await self._positions.record(self._position)
        else:
            self._report()
            await self._rest(_DIFFERENT_SECONDS)

    async def _verify_again(self, is_idle: Callable[[], bool]) -> None:
        """Compares all days once more, from where the last process has stopped; ends early for new events."""
        now = self._monotonic()
        if self._checked_all_at is not None and now - self._checked_all_at < _AGAIN_SECONDS:
            await self._rest(_QUIET_SECONDS)
            return
        days = await self._verification.days(await self._verification.accounts(), 0, _END)
        for day in days:
            if _key(day) <= self._position.checked_again:
                continue
            await self._verify_span(day, DAY, is_idle)
            self._position = self._position._replace(checked_again=_key(day))
            await self._positions.record(self._position)
            if (await self._verification.newest_arrival() or 0) > self._position.until:
                return
        self._position = self._position._replace(checked_again=VerifiedPosition().checked_again)
        await self._positions.record(self._position)
        self._checked_all_at = self._monotonic()

    async def _verify_span(self, span: MeterDay, length: int, is_idle: Callable[[], bool]) -> bool:
        """False if it could not be compared, as while a backfill runs."""
        cursor: str | None = None
        found: list[UsageDifference] = []
        count = 0
        while True:
            while not is_idle():
                await self._rest(_BUSY_SECONDS)
            part = await self._verification.verify(
                span.account, span.meter, span.start, span.start + length, cursor=cursor, limit=_EVENTS_PER_CALL
            )
            found, count = [*found, *part.differences][:1], count + part.difference_count
            await self._rest(part.events / self._rate)
            if part.skipped is not None:
                return False
            if (cursor := part.next_cursor) is None:
                break
        self._note(_key(span), found, count)
        return True

    def _note(self, key: SpanKey, found: Sequence[UsageDifference], count: int) -> None:
        if not count:
            if self._differences.pop(key, None):
                self._logger.info("usage equals its events again", account=key[0], meter=key[1], start=to_iso(key[2]))
        elif key not in self._differences and len(self._differences) < _MOST_LOGGED:
            self._logger.error("usage differs from its events", example=describe(found[0]), differences=count)
        if count:
            self._differences[key] = found[0], count
        self._report()

    def _report(self) -> None:
        self._metrics.set(Gauge.USAGE_DIFFERENCES, sum(count for _, count in self._differences.values()))
        self._metrics.set(Gauge.VERIFIED_UNTIL, self._position.until / SECOND)


def describe(difference: UsageDifference) -> str:
    """The difference in one line."""
    values = f"counted {difference.counted}, recounted {difference.recounted}"
    return (
        f"account {difference.account}, meter {difference.meter}, customer {difference.customer_id}, "
        f"{to_iso(difference.window_start)}: {difference.detail or values}"
    )


def _key(span: MeterDay) -> SpanKey:
    return span.account, span.meter, span.start
