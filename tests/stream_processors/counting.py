"""Everything that counts, in memory: posts go in, usage comes out, and meters may be made at any time."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from schemas.event import Verdict
from schemas.flush import Claim, Table
from schemas.frame import NewFrame, encode
from schemas.hashing import as_halves, partition_of
from schemas.meter import Meter, MeterSet
from schemas.timestamps import to_micros
from stream_processors.backends.log.memory import MemoryFrameLog
from stream_processors.backends.store.embedded import EmbeddedStore
from stream_processors.backends.store.memory import MemoryEngine
from stream_processors.backends.store.memory_months import MemorySeenMonths
from stream_processors.flushing.backfill import Backfill, BackfillPorts
from stream_processors.flushing.expiry import Expiry, ExpiryPorts
from stream_processors.flushing.partition import Partition, Ports
from stream_processors.flushing.policy import FlushPolicy
from tests import oracle
from tests.factories import Event, make_batch

PARTITIONS = 2


class GrowingMeters:
    """Meter sets: each meter made or archived makes a new one."""

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
        counting = [
            replace(meter, archived_version=None) if (meter.archived_version or 0) > version else meter
            for meter in self.made
            if meter.counts_in(version)
        ]
        return MeterSet(version=version, meters=tuple(counting))


async def no_pause(attempt: int) -> None:
    """Nothing here fails for want of time."""
    assert attempt < 20


class Counting:
    """A log, a store and meters, and what was posted."""

    def __init__(self) -> None:
        self.log = MemoryFrameLog(PARTITIONS)
        self.engine = MemoryEngine()
        self.store = EmbeddedStore(self.engine)
        self.meters = GrowingMeters()
        self._posted: list[tuple[int, Event]] = []

    async def post(self, events: Iterable[Event], arrival: int) -> None:
        """One frame per partition. Events of one moment count as arrived partition by partition."""
        by_partition: dict[int, list[Event]] = defaultdict(list)
        for event in events:
            by_partition[partition_of_event(event)].append(event)
        for number in sorted(by_partition):
            chosen = by_partition[number]
            await self.log.append([NewFrame(partition=number, arrival=arrival, payload=encode(make_batch(chosen)))])
            self._posted += [(arrival, event) for event in chosen]

    def partition(self, number: int) -> Partition:
        """A worker's partition that has not booted."""
        store = self.store
        ports = Ports(log=self.log, claims=store, tables=store, seen=store, meters=self.meters, pause=no_pause)
        return Partition(number, ports, FlushPolicy(filter_keys=1000))

    def backfill(self) -> Backfill:
        """Backfills that remember nothing yet."""
        return Backfill(BackfillPorts(meters=self.meters, history=self.store, tables=self.store), PARTITIONS)

    def expiry(self) -> Expiry:
        """What forgets old keys."""
        ports = ExpiryPorts(log=self.log, tail=self.log, claims=self.store, seen=MemorySeenMonths(self.engine))
        return Expiry(ports, PARTITIONS)

    @property
    def accepted(self) -> Sequence[tuple[int, Event]]:
        """The events that count and when they arrived, in order of arrival."""
        # Ties of arrival are broken by partition, as they are in `latest`.
        posted = sorted(self._posted, key=lambda post: (post[0], partition_of_event(post[1])))
        given = oracle.verdicts([event for _, event in posted], [arrival for arrival, _ in posted])
        return [post for post, verdict in zip(posted, given, strict=True) if verdict is Verdict.ACCEPTED]

    def accepted_for(self, meter: Meter) -> Sequence[Event]:
        """Those before the meter's first flush, and those of the flushes it took part in."""
        claims = [flush for flush in self.engine.flushes if isinstance(flush, Claim)]
        versions = {(claim.partition, claim.number): claim.version for claim in claims}
        rows = self.engine.rows(Table.EVENTS).to_pylist()
        flushes = {(int(to_micros(row["arrival"])), row["account"], row["idempotency_key"]): row for row in rows}
        counted = []
        for arrival, event in self.accepted:
            row = flushes[arrival, event.account, event.idempotency_key]
            version = versions[row["p"], row["n"]]
            if version < meter.version or meter.counts_in(version):
                counted.append(event)
        return counted

    @property
    def usage(self) -> oracle.Usage:
        return oracle.usage_of_rows(self.engine.rows(Table.USAGE).to_pylist(), self.meters.made)

    @property
    def value_rejects(self) -> Sequence[tuple[str, str, str]]:
        """Key, meter and reason of the values that were not counted."""
        rows = self.engine.rows(Table.REJECTS).to_pylist()
        return sorted((row["idempotency_key"], row["meter"], row["code"]) for row in rows if row["meter"])

    def is_exact(self) -> None:
        """Every accepted event is counted once for every meter, or rejected once with the reason."""
        usage: oracle.Usage = {}
        rejects = []
        for meter in self.meters.made:
            events = self.accepted_for(meter)
            quantities, refusals = oracle.usage(events, [meter])
            usage |= quantities
            rejects += [(events[place].idempotency_key, code, reason.value) for place, code, reason in refusals]
        assert self.usage == usage
        assert self.value_rejects == sorted(rejects)


def partition_of_event(event: Event) -> int:
    return int(partition_of(as_halves(event.key_hash), PARTITIONS)[0])
