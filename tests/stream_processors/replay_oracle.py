"""Replays: appended to the log as the gateway does, and their expected outcome."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ingest_gateway.ingest.replay import RejectReplayer
from ingest_gateway.ports import FrameSink
from schemas.event import EventFlag
from schemas.hashing import as_halves, key_hash, partition_of
from schemas.ids import AccountId
from schemas.listing import Reject
from schemas.meter import Meter
from schemas.tables import reject_id, replay_key
from schemas.timestamps import to_micros
from tests.factories import Event

REQUEST = "req_again"


class LoggedEvent(NamedTuple):
    """An event and its place in the log."""

    arrival: int
    partition: int
    offset: int
    place: int
    event: Event

    @property
    def order(self) -> tuple[int, int, int, int]:
        """The order of arrival. The place breaks ties; a replay has the place of its reject."""
        if not self.event.replay_of:
            return self.arrival, self.partition, self.offset, self.place
        partition, _, offset, place = map(int, self.event.replay_of.split("_")[1:5])
        return self.arrival, partition, offset, place


VersionAt = Callable[[LoggedEvent], int]
"""The meter set version of the flush that contains an event."""


class ReplayOracle:
    """All replays, in the order of the log."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._put: list[LoggedEvent] = []

    async def put(
        self, reject: Reject, meters: Mapping[str, Meter], arrival: int, sink: FrameSink, end_of: Callable[[int], int]
    ) -> None:
        """Appends the replay, unless the gateway would skip it."""
        gateway = RejectReplayer(sink, lambda: arrival, self._partitions)
        sensible, _ = gateway.select([reject], meters)
        partition = int(partition_of(as_halves(_key(reject.account, reject.id)), self._partitions)[0])
        self._put += [LoggedEvent(arrival, partition, end_of(partition), 0, _as_event(reject)) for reject in sensible]
        await gateway.append(sensible, REQUEST)

    def of_meter(self, meter: Meter, version_at: VersionAt) -> Sequence[LoggedEvent]:
        """The replays that the meter measures: of each reject the first one flushed with the meter in the set."""
        first: dict[str, LoggedEvent] = {}
        for posted in self._put:
            event = posted.event
            addressed = (event.account, event.replay_meter) == (meter.account, meter.code)
            if addressed and meter.counts_in(version_at(posted)):
                first.setdefault(event.replay_of, posted)
        return list(first.values())

    def keys(self, meters: Sequence[Meter], version_at: VersionAt) -> set[bytes]:
        """The replay keys that `seen` must hold."""
        measured = [posted.event for meter in meters for posted in self.of_meter(meter, version_at)]
        return {_key(event.account, event.replay_of) for event in measured}


def rejects_in(rows: Sequence[dict[str, Any]]) -> Sequence[Reject]:
    """Rows of the table as rejects, oldest first, none marked as replayed."""
    return sorted(map(_reject, rows), key=lambda reject: (reject.arrival, reject.id))


def _reject(row: dict[str, Any]) -> Reject:
    texts = ("code", "message", "event_name", "customer_id", "idempotency_key", "properties", "request_id")
    return Reject(
        **{name: row[name] for name in texts},
        id=reject_id(row["p"], row["n"], row["offset"], row["place"], row["meter"], row["origin"]),
        account=AccountId(row["account"]),
        meter=row["meter"] or None,
        timestamp=int(to_micros(row["timestamp"])),
        arrival=int(to_micros(row["arrival"])),
        replay_of=row["replay_of"] or None,
        replayed=False,
    )


def _as_event(reject: Reject) -> Event:
    assert reject.meter is not None
    return Event(
        account=reject.account,
        event_name=reject.event_name,
        customer_id=reject.customer_id,
        timestamp=reject.timestamp,
        idempotency_key=reject.idempotency_key,
        properties=reject.properties,
        flags=EventFlag.REPLAY,
        replay_of=reject.id,
        replay_meter=reject.meter,
    )


def _key(account: str, reject: str) -> bytes:
    return key_hash(account, replay_key(reject))
