"""The posts and meters of a run: a few small frames and meters."""

from collections.abc import Sequence
from functools import lru_cache

import msgspec
import pyarrow as pa

from schemas.event import EventFlag
from schemas.frame import COLUMNS, Frame, encode
from schemas.hashing import body_digest, key_hash
from schemas.ids import AccountId
from schemas.meter import Aggregation, Meter, MeterSet
from schemas.tables import replay_key
from schemas.timestamps import DAY, MINUTE, SECOND

ACCOUNT = AccountId("acc")
PARTITION = 0
START = 20_000 * DAY
"""2024-10-04, a fixed day of no significance."""


class PostedEvent(msgspec.Struct, frozen=True):
    """A minimal event. The same key with another value or customer is another body."""

    key: str
    value: str = "1"
    customer: str = "ann"
    backfill: bool = False
    replay_meter: str = ""
    """The meter of a replay; `key` is then the id of the reject.

    No flush reads the reject itself, so it need not be one of the run, whose ids would depend on the flushes.
    """

    @property
    def body_hash(self) -> int:
        """The same for all replays of a reject, whatever the version can read."""
        if self.replay_meter:
            return body_digest(self.key.encode())
        return body_digest(f"{self.customer}\0{self.value}".encode())

    @property
    def key_hash(self) -> bytes:
        return key_hash(ACCOUNT, replay_key(self.key) if self.replay_meter else self.key)

    @property
    def flags(self) -> int:
        return EventFlag.BACKFILL * self.backfill | EventFlag.REPLAY * bool(self.replay_meter)

    def row(self, timestamp: int) -> dict[str, object]:
        """The event as a row of a frame."""
        return {
            "account": ACCOUNT,
            "event_name": "call",
            "customer_id": self.customer,
            "timestamp": timestamp,
            "idempotency_key": self.key,
            "key_hash": self.key_hash,
            "body_hash": self.body_hash,
            "properties": f'{{"v":{self.value}}}',
            "flags": self.flags,
            "request_id": "req",
            "replay_of": self.key if self.replay_meter else "",
            "replay_meter": self.replay_meter,
        }


def replayed(reject: str, value: str = "4", meter: str = "units") -> PostedEvent:
    """The gateway's row for a replay; with a number if a newer version can read the value."""
    return PostedEvent(reject, value, replay_meter=meter)


class PostedFrame(msgspec.Struct, frozen=True):
    """The events of one frame and the days after START at which it arrives."""

    posts: tuple[PostedEvent, ...]
    day: float = 0.0

    @property
    def arrival(self) -> int:
        return START + int(self.day * DAY)


CALLS = Meter(
    account=ACCOUNT,
    code="calls",
    name="Calls",
    event_name="call",
    aggregation=Aggregation.COUNT,
    version=1,
    created_at=START,
)
UNITS = Meter(
    account=ACCOUNT,
    code="units",
    name="Units",
    event_name="call",
    aggregation=Aggregation.SUM,
    value_property="$.v",
    version=1,
    created_at=START,
)
LATE = Meter(
    account=ACCOUNT,
    code="late",
    name="Made while traffic flows",
    event_name="call",
    aggregation=Aggregation.SUM,
    value_property="$.v",
    version=2,
    created_at=START,
)
LATER = Meter(
    account=ACCOUNT,
    code="later",
    name="Made after that",
    event_name="call",
    aggregation=Aggregation.COUNT,
    version=3,
    created_at=START,
)
METERS = (CALLS, UNITS, LATE, LATER)


def meter_set(version: int) -> MeterSet:
    return MeterSet(version=version, meters=tuple(meter for meter in METERS if meter.counts_in(version)))


class Scenario(msgspec.Struct, frozen=True):
    """The posts, the workers and the meter sets of a run."""

    name: str
    batches: tuple[PostedFrame, ...]
    versions: int = 1
    flush_bytes: tuple[int, ...] = (0, 1_000_000)
    """One entry per worker: `max_bytes` of its flushes. 0 takes one frame."""
    piece_rows: tuple[int, ...] = (1, 1_000_000)
    """One entry per worker: the rows of its inserts. With 1 each meter is a piece of its own."""

    def frames(self) -> Sequence[Frame]:
        return frames_of(self.batches)

    @property
    def meters(self) -> tuple[Meter, ...]:
        """All meters that exist in the end."""
        return meter_set(self.versions).meters


@lru_cache(maxsize=256)
def frames_of(batches: tuple[PostedFrame, ...]) -> tuple[Frame, ...]:
    return tuple(
        Frame(partition=PARTITION, offset=offset, arrival=batch.arrival, payload=encode(_columns(batch)))
        for offset, batch in enumerate(batches)
    )


def timestamp_of(batch: PostedFrame, place: int) -> int:
    """Events of a frame happen a minute before it arrives, two seconds apart."""
    return batch.arrival - MINUTE + 2 * place * SECOND


def _columns(batch: PostedFrame) -> pa.RecordBatch:
    rows = [post.row(timestamp_of(batch, place)) for place, post in enumerate(batch.posts)]
    return pa.RecordBatch.from_pylist(rows, COLUMNS)
