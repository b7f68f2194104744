"""The whole pipeline in memory: events in, usage out, and new meters at any time."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from schemas.event import Verdict
from schemas.flush import Claim, Table
from schemas.frame import NewFrame, encode
from schemas.hashing import as_halves, partition_of
from schemas.listing import Reject
from schemas.meter import Meter, MeterSet
from schemas.timestamps import DAY
from stream_processors.backends.log.memory import MemoryFrameLog
from stream_processors.backends.store.embedded import EmbeddedStore
from stream_processors.backends.store.memory import MemoryEngine, MemorySeenMonths
from stream_processors.core.flush_plan import PieceBounds
from stream_processors.flushing.backfill import Backfill, BackfillPorts
from stream_processors.flushing.expiry import Expiry, ExpiryPorts
from stream_processors.flushing.partition import FlushPorts, Partition
from stream_processors.flushing.policy import FlushPolicy
from tests import oracle
from tests.factories import NOW, Event, make_batch
from tests.stream_processors.replay_oracle import LoggedEvent, ReplayOracle, VersionAt, rejects_in

PARTITIONS = 2


class ChangingMeters:
    """Meter sets: each created or archived meter makes a new one."""

    def __init__(self) -> None:
        self.made: list[Meter] = []
        self.version = 0

    def add(self, meter: Meter) -> None:
        self.version += 1
        self.made.append(replace(meter, version=self.version, archived_version=None))

    def archive(self, code: str) -> None:
        self.version += 1
        self.made = [
            replace(meter, archived_version=self.version)
            if meter.code == code and not meter.archived_version
            else meter
            for meter in self.made
        ]

    async def newest_version(self) -> int:
        return self.version

    async def at_version(self, version: int) -> MeterSet:
        active = [
            replace(meter, archived_version=None) if (meter.archived_version or 0) > version else meter
            for meter in self.made
            if meter.counts_in(version)
        ]
        return MeterSet(version=version, meters=tuple(active))


async def no_pause(attempt: int) -> None:
    """Retries at once; more than a few retries are a bug."""
    assert attempt < 20


class InMemoryPipeline:
    """A log, a store and meters, and the posted events."""

    def __init__(self) -> None:
        self.log = MemoryFrameLog(PARTITIONS)
        self.engine = MemoryEngine()
        self.expiry_clock = NOW + 100_000 * DAY
        """A clock that delays nothing."""
        self.store = EmbeddedStore(self.engine)
        self.meters = ChangingMeters()
        self._posted: list[LoggedEvent] = []
        self._tries = ReplayOracle(PARTITIONS)
        self._piece_rows = itertools.cycle((1, 1_000_000, 3))

    def next_bounds(self) -> PieceBounds:
        """Other bounds for each worker: what one of them leaves unfinished the next one finishes."""
        return PieceBounds(rows=next(self._piece_rows))

    async def post(self, events: Iterable[Event], arrival: int) -> None:
        """One frame per partition. Events of one moment count as arrived partition by partition."""
        by_partition: dict[int, list[Event]] = defaultdict(list)
        for event in events:
            by_partition[partition_of_event(event)].append(event)
        for number in sorted(by_partition):
            chosen = by_partition[number]
            offset = self.log.end_offset(number)
            await self.log.append([NewFrame(partition=number, arrival=arrival, payload=encode(make_batch(chosen)))])
            self._posted += [LoggedEvent(arrival, number, offset, place, event) for place, event in enumerate(chosen)]

    async def replay(self, reject: Reject, arrival: int) -> None:
        """Replays the reject as the gateway would for a caller whose listing may be out of date."""
        meters = {meter.code: meter for meter in self.meters.made if meter.account == reject.account}
        await self._tries.put(reject, meters, arrival, self.log, self.log.end_offset)

    def partition(self, number: int) -> Partition:
        """A worker's partition that has not booted."""
        store = self.store
        ports = FlushPorts(log=self.log, claims=store, tables=store, seen=store, meters=self.meters, pause=no_pause)
        return Partition(number, ports, FlushPolicy(filter_keys=1000, piece=self.next_bounds()))

    def backfill(self) -> Backfill:
        """Backfills without state."""
        ports = BackfillPorts(meters=self.meters, history=self.store, tables=self.store)
        return Backfill(ports, PARTITIONS, self.next_bounds())

    def expiry(self) -> Expiry:
        ports = ExpiryPorts(
            log=self.log,
            tail=self.log,
            claims=self.store,
            seen=MemorySeenMonths(self.engine),
            clock=lambda: self.expiry_clock,
        )
        return Expiry(ports, PARTITIONS)

    @property
    def accepted(self) -> Sequence[LoggedEvent]:
        """The events that count, in order of arrival."""
        posted = sorted(self._posted, key=lambda post: post.order)
        given = oracle.verdicts([post.event for post in posted], [post.arrival for post in posted])
        return [post for post, verdict in zip(posted, given, strict=True) if verdict is Verdict.ACCEPTED]

    def accepted_for(self, meter: Meter, version_at: VersionAt) -> Sequence[Event]:
        """The events before the meter's first flush, those of the flushes that count it, and its replays."""
        counted = [
            posted
            for posted in self.accepted
            if (version := version_at(posted)) < meter.version or meter.counts_in(version)
        ]
        in_order = sorted([*counted, *self._tries.of_meter(meter, version_at)], key=lambda posted: posted.order)
        return [posted.event for posted in in_order]

    def versions(self) -> VersionAt:
        """The meter set version of a posted event, by the claims made so far."""
        claims = [flush for flush in self.engine.flushes if isinstance(flush, Claim)]

        def version_at(posted: LoggedEvent) -> int:
            own = (claim for claim in claims if claim.partition == posted.partition)
            return next(claim.version for claim in own if claim.first <= posted.offset <= claim.last)

        return version_at

    @property
    def usage(self) -> oracle.Usage:
        return oracle.usage_of_rows(self.engine.rows(Table.USAGE).to_pylist(), self.meters.made)

    @property
    def rejects(self) -> Sequence[Reject]:
        """All rejects, oldest first."""
        return rejects_in(self.engine.rows(Table.REJECTS).to_pylist())

    @property
    def value_rejects(self) -> Sequence[tuple[str, str, str, str]]:
        """Key, meter, reason and replayed reject of the values that were not counted."""
        return sorted((r.idempotency_key, r.meter, r.code, r.replay_of or "") for r in self.rejects if r.meter)

    def assert_exact(self) -> None:
        """Every accepted event is counted once for every meter, or rejected once with the reason.

        So is every replayed reject, for its own meter, however often it was replayed.
        """
        version_at = self.versions()
        usage: oracle.Usage = {}
        refused = []
        for meter in self.meters.made:
            events = self.accepted_for(meter, version_at)
            quantities, refusals = oracle.usage(events, [meter])
            usage |= quantities
            refused += [(events[place], meter.code, reason.value) for place, _, reason in refusals]
        assert self.usage == usage
        assert self.value_rejects == sorted((e.idempotency_key, code, why, e.replay_of) for e, code, why in refused)
        self._holds_each_key_once(self._tries.keys(self.meters.made, version_at))

    def _holds_each_key_once(self, of_tries: Iterable[bytes]) -> None:
        """`events` has the accepted events and no replays; `seen` has the keys of both."""
        accepted = sorted(posted.event.key_hash for posted in self.accepted)
        assert sorted(self.engine.rows(Table.EVENTS)["key_hash"].to_pylist()) == accepted
        assert sorted(self.engine.rows(Table.SEEN)["key_hash"].to_pylist()) == sorted([*accepted, *of_tries])


def partition_of_event(event: Event) -> int:
    return int(partition_of(as_halves(event.key_hash), PARTITIONS)[0])
