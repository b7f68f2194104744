"""The oracle of the simulator: the expected rows of every flush, and of all of them together."""

from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation

import msgspec

from schemas.event import RejectCode, Verdict
from schemas.flush import Claim
from schemas.meter import Aggregation, Meter
from schemas.timestamps import MINUTE, SECOND
from tests.factories import WINDOW
from tests.simulator.scenario import PostedEvent, Scenario, meter_set, timestamp_of

UsageKey = tuple[str, str, int]
Reject = tuple[int, int, str, str]


class ExpectedRows(msgspec.Struct, frozen=True):
    """The contents of all tables, or one flush's part of them, as plain values."""

    events: Counter[tuple[int, int]]
    """Places: (offset, place in the frame)."""
    usage: Counter[UsageKey]
    """The number of events by (meter, customer, minute)."""
    sums: Counter[UsageKey]
    """Their sum, in whole units."""
    rejects: Counter[Reject]
    """(offset, place, meter, code)."""
    seen: Counter[bytes]
    """Key hashes."""


def nothing() -> ExpectedRows:
    return ExpectedRows(Counter(), Counter(), Counter(), Counter(), Counter())


class Arrived(msgspec.Struct, frozen=True):
    """One posted event with its place and its verdict."""

    post: PostedEvent
    offset: int
    place: int
    timestamp: int
    verdict: Verdict

    @property
    def minute(self) -> int:
        return self.timestamp // MINUTE * MINUTE // SECOND


def judged(scenario: Scenario) -> Iterator[Arrived]:
    """In order of arrival the first event of a key wins, for the length of the window."""
    seen: dict[str, tuple[int, int]] = {}
    stored: dict[str, tuple[int, int]] = {}
    for offset, batch in enumerate(scenario.batches):
        for place, post in enumerate(batch.posts):
            known = seen.get(post.key)
            if known and batch.arrival - known[1] > WINDOW:
                known = None
            if post.backfill:
                known = known or stored.get(post.key)
            if known is None:
                verdict = Verdict.ACCEPTED
                seen[post.key] = stored[post.key] = (post.body_hash, batch.arrival)
            else:
                verdict = Verdict.DUPLICATE if known[0] == post.body_hash else Verdict.CONFLICT
            yield Arrived(post, offset, place, timestamp_of(batch, place), verdict)


class Expected:
    """The expected rows, derived from the posts alone, without flush, store and filter."""

    def __init__(self, scenario: Scenario) -> None:
        self._arrived = tuple(judged(scenario))
        self._of_flush: dict[Claim, ExpectedRows] = {}

    def of_flush(self, claim: Claim) -> ExpectedRows:
        """The expected rows of one flush, a function of its claim."""
        if claim not in self._of_flush:
            self._of_flush[claim] = self._find(claim)
        return self._of_flush[claim]

    def _find(self, claim: Claim) -> ExpectedRows:
        within = [event for event in self._arrived if claim.first <= event.offset <= claim.last]
        return self._counted(within, meter_set(claim.version).meters)

    def usage_up_to(self, last: int, meter: Meter) -> Counter[UsageKey]:
        """How many events of the frames up to `last` the meter counts."""
        return self._counted([event for event in self._arrived if event.offset <= last], (meter,)).usage

    def usage_of(self, places: Iterable[tuple[int, int]], meter: Meter) -> Counter[UsageKey]:
        """A recount: the usage of these events by the meter."""
        wanted = set(places)
        events = [event for event in self._arrived if (event.offset, event.place) in wanted]
        return self._counted(events, (meter,)).usage

    def in_the_end(self, meters: tuple[Meter, ...], claims: Iterable[Claim]) -> ExpectedRows:
        """The expected rows when everything is counted."""
        versions = {offset: claim.version for claim in claims for offset in range(claim.first, claim.last + 1)}
        tried = [event for event in self._arrived if _has_meter(event, meter_set(versions[event.offset]).meters)]
        return self._counted(tried, meters)

    def _counted(self, events: Iterable[Arrived], meters: tuple[Meter, ...]) -> ExpectedRows:
        counted = nothing()
        for event in events:
            if event.verdict is Verdict.CONFLICT:
                counted.rejects[event.offset, event.place, "", RejectCode.CONFLICT] += 1
            elif event.verdict is Verdict.ACCEPTED and _has_meter(event, meters):
                counted.seen[event.post.key_hash] += 1
                if not event.post.replay_meter:
                    counted.events[event.offset, event.place] += 1
                for meter in meters:
                    if event.post.replay_meter in ("", meter.code):
                        _count(counted, event, meter)
        return counted


def _has_meter(event: Arrived, meters: tuple[Meter, ...]) -> bool:
    """False for replays of a meter that is not among these."""
    wanted = event.post.replay_meter
    return not wanted or any(meter.code == wanted for meter in meters)


def _count(counted: ExpectedRows, event: Arrived, meter: Meter) -> None:
    key = (meter.code, event.post.customer, event.minute)
    if meter.aggregation is Aggregation.COUNT:
        counted.usage[key] += 1
        return
    try:
        value = Decimal(event.post.value)
    except InvalidOperation:
        counted.rejects[event.offset, event.place, meter.code, RejectCode.VALUE_NOT_A_NUMBER] += 1
        return
    counted.usage[key] += 1
    counted.sums[key] += int(value)
