"""Keeps the clocks of a cluster together: gateways stamp arrivals, and seen keys expire by these stamps.

The usage store's clock is the reference. A gateway whose clock is more than a minute off stamps nothing, so it accepts
nothing; and it follows the arrivals of other gateways only as far as a right clock can be ahead of its own.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from schemas.errors import Conflict, Overloaded
from schemas.timestamps import MINUTE, SECOND
from stream_processors.backends.sql.client import Row

MAX_CLOCK_SKEW = MINUTE
MAX_ARRIVAL_AHEAD = 2 * MAX_CLOCK_SKEW
"""How far the arrival of another gateway may be ahead of this clock, if both are within the limit."""

_NOW = "SELECT toUnixTimestamp64Micro(now64(6))"
_RETRY_AFTER = 10


class ClockSource(Protocol):
    """The usage store, whose clock is the reference."""

    async def rows(self, sql: str) -> Sequence[Row]: ...


async def check_clock(store: ClockSource, clock: Callable[[], int]) -> None:
    """Raises Conflict if this machine's clock is more than a minute off the usage store's."""
    before = clock()
    ((stores,),) = await store.rows(_NOW)
    skew = max(before - stores, stores - clock())
    if skew > MAX_CLOCK_SKEW:
        ahead = "ahead of" if before > stores else "behind"
        raise Conflict(
            f"this machine's clock is {skew // SECOND} s {ahead} the usage store's: set the wrong one right (both "
            "should follow a time server); arrivals stamped by a wrong clock make keys expire at a wrong time"
        )


def believable(arrivals: Iterable[int], now: int) -> list[int]:
    """The arrivals that a gateway with a right clock can have stamped by `now`."""
    return [arrival for arrival in arrivals if arrival <= now + MAX_ARRIVAL_AHEAD]


class VerifiedClock:
    """A machine's clock, read only while it agrees with the usage store's.

    Between two comparisons it must advance like the monotonic clock, which no adjustment moves: a jump is noticed with
    the first event that arrives after it.
    """

    def __init__(self, clock: Callable[[], int], monotonic: Callable[[], float]) -> None:
        """The caller has compared `clock` a moment ago."""
        self._clock = clock
        self._monotonic = monotonic
        self._base = clock(), monotonic()
        self._fault: str | None = None

    async def compare(self, store: ClockSource) -> None:
        """Compares the clock with the store's. Raises Conflict if it is wrong, StoreFailed without an answer."""
        try:
            await check_clock(store, self._clock)
        except Conflict as error:
            self._fault = str(error)
            raise
        self._fault = None
        self._base = self._clock(), self._monotonic()

    def now(self) -> int:
        """Microseconds since 1970. Raises Overloaded while the clock is wrong, or after a jump until it is compared."""
        now = self._clock()
        then, began = self._base
        jump = now - then - round((self._monotonic() - began) * SECOND)
        if self._fault is None and abs(jump) > MAX_CLOCK_SKEW:
            self._fault = f"this machine's clock has jumped by {jump // SECOND} s"
        if self._fault is not None:
            raise Overloaded(f"no event is accepted here for now: {self._fault}", retry_after=_RETRY_AFTER)
        return now
