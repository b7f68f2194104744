"""Readers of usage at a watermark, step by step, while flushes continue."""

from collections import Counter
from collections.abc import Callable, Hashable

from schemas.flush import Table
from schemas.tables import covers
from tests.simulator.actors import Actor
from tests.simulator.checks import Checks, PromiseBroken
from tests.simulator.contents import total
from tests.simulator.durable import Durable
from tests.simulator.expected import Expected, UsageKey
from tests.simulator.scenario import CALLS, UNITS
from tests.simulator.scheduler import PortCall


class Reader(Actor):
    """The reading rule: read done, then usage, then check for events beyond; if there are any, recount."""

    def __init__(self, durable: Durable, checks: Checks, expected: Expected, news: Callable[[], Hashable]) -> None:
        self.durable = durable
        self._checks = checks
        self._expected = expected
        self._version_seen = news
        self._read_at: Hashable = None
        super().__init__(type(self).__name__, process=-1)

    def remembers(self) -> Hashable:
        return self._read_at

    def has_more(self) -> bool:
        return self._read_at != self._version_seen()

    async def step(self) -> None:
        self._read_at = self._version_seen()
        await PortCall("read the watermark")
        watermark = self.watermark()
        self.task.learn(watermark)
        await PortCall("read usage")
        found = self.usage()
        self.task.learn(frozenset(found.items()))
        await PortCall("look for events beyond")
        if self.has_events_beyond(watermark):
            found = self.recount(watermark)
        last = self._checks.claims[watermark].last if watermark >= 0 else -1
        wanted = self._expected.usage_up_to(last, CALLS)
        if found != wanted:
            raise PromiseBroken(f"H16: usage read at watermark {watermark} is {found}, its events make {wanted}")

    def watermark(self) -> int:
        return max(self.durable.done, default=-1)

    def usage(self) -> Counter[UsageKey]:
        """The usage of the meter that all flushes count."""
        counted = total(self.durable.of(Table.USAGE)).usage
        return Counter({key: count for key, count in counted.items() if key[0] == CALLS.code})

    def has_events_beyond(self, watermark: int) -> bool:
        return any(int(block.origin) > watermark for block in self.durable.of(Table.EVENTS))

    def recount(self, watermark: int) -> Counter[UsageKey]:
        """The usage of the events of the flushes up to the watermark."""
        blocks = [block for block in self.durable.of(Table.EVENTS) if int(block.origin) <= watermark]
        return self._expected.usage_of(total(blocks).events, CALLS)


class ReceiptReader(Reader):
    """The rule of the usage queries: read done, then usage with its receipts at one moment, then done again.

    It reads the last meter of the first set, whose rows may come in a later piece than those of the others.
    """

    AHEAD = 2

    async def step(self) -> None:
        self._read_at = self._version_seen()
        await PortCall("read the flushes done")
        before = self.watermark()
        self.task.learn(before)
        await PortCall("read usage and receipts")
        found, covered = self.usage_of_meter(), self.covered(before)
        self.task.learn((frozenset(found.items()), covered))
        await PortCall("read the flushes done again")
        if self.watermark() < before + self.AHEAD:
            watermark = max(covered, default=before)
            last = self._checks.claims[watermark].last if watermark >= 0 else -1
            wanted = self._expected.usage_up_to(last, UNITS)
            if found != wanted:
                raise PromiseBroken(
                    f"H16: usage with the receipts {sorted(covered)} is {found}, its events make {wanted}"
                )

    def usage_of_meter(self) -> Counter[UsageKey]:
        counted = total(self.durable.of(Table.USAGE)).usage
        return Counter({key: count for key, count in counted.items() if key[0] == UNITS.code})

    def covered(self, watermark: int) -> frozenset[int]:
        """The flushes after the watermark whose receipts cover the meter."""
        ahead = range(watermark + 1, watermark + 1 + self.AHEAD)
        blocks = [block for block in self.durable.of(Table.USAGE) if block.origin in ahead]
        return frozenset(int(block.origin) for block in blocks if self.is_covered(block.end))

    def is_covered(self, end: str) -> bool:
        return covers(end, UNITS)
