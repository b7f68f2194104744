"""Small records for tests: every field has a default, and a test names only the fields that matter to it."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pyarrow as pa

from schemas.event import EventFlag
from schemas.flush import Claim, SeenRows
from schemas.frame import COLUMNS, Frame, encode
from schemas.hashing import body_digest, key_hash
from schemas.ids import AccountId
from schemas.meter import Aggregation, Meter, MeterFilter, MeterSet
from schemas.tables import replay_key
from schemas.timestamps import DAY, MINUTE, SECOND
from stream_processors.core.dedupe import KeyLookupResult

ACCOUNT = AccountId("acme_live")
NOW = 1_795_000_000 * SECOND
"""A moment in November 2026."""
WINDOW = 35 * DAY + 5 * MINUTE

NOTHING_KNOWN = KeyLookupResult(SeenRows([], [], []), SeenRows([], [], []))


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event as in a frame; `properties` is the JSON text as posted."""

    account: str = ACCOUNT
    event_name: str = "api.request"
    customer_id: str = "cust_1"
    timestamp: int = NOW
    idempotency_key: str
    properties: str = "{}"
    flags: int = 0
    request_id: str = "req_test"
    replay_of: str = ""
    replay_meter: str = ""

    @property
    def key_hash(self) -> bytes:
        return key_hash(self.account, self.idempotency_key)

    @property
    def body_hash(self) -> int:
        """Different for any two contents, independent of the gateway's canonical form."""
        return body_digest(msgspec.json.encode([self.event_name, self.customer_id, self.timestamp, self.properties]))


def make_event(key: str, properties: Any = None, **changes: Any) -> Event:
    """An event under this key; `properties` may be an object or its JSON text."""
    text = properties if isinstance(properties, str) else msgspec.json.encode(properties or {}).decode()
    return Event(idempotency_key=key, properties=text, **changes)


def make_replay(event: Event, reject: str, meter: str) -> Event:
    """The replay of a reject for one meter."""
    return msgspec.structs.replace(
        event,
        idempotency_key=replay_key(reject),
        flags=event.flags | EventFlag.REPLAY,
        replay_of=reject,
        replay_meter=meter,
    )


def make_meter(code: str = "requests", aggregation: str = "count", **changes: Any) -> Meter:
    """A meter of `api.request` events, which by default counts them."""
    given = {
        "account": ACCOUNT,
        "name": code.title(),
        "event_name": "api.request",
        "value_property": None if aggregation == "count" else "$.tokens",
        "version": 1,
        "created_at": NOW,
        **changes,
    }
    return Meter(code=code, aggregation=Aggregation(aggregation), **given)


def make_filter(path: str, op: str, value: Any = None) -> MeterFilter:
    return msgspec.convert({"property": path, "op": op, "value": value}, MeterFilter)


def make_meter_set(*meters: Meter, version: int = 1) -> MeterSet:
    return MeterSet(version=version, meters=meters)


def make_batch(events: Iterable[Event]) -> pa.RecordBatch:
    """The events in a frame's columns."""
    rows = [{name: getattr(event, name) for name in COLUMNS.names} for event in events]
    return pa.RecordBatch.from_pylist(rows, COLUMNS)


def make_frame(events: Iterable[Event], *, offset: int = 0, arrival: int = NOW, partition: int = 0) -> Frame:
    return Frame(partition=partition, offset=offset, arrival=arrival, payload=encode(make_batch(events)))


def make_claim(number: int = 0, first: int = 0, last: int = 0, *, partition: int = 0, version: int = 1) -> Claim:
    return Claim(partition=partition, number=number, first=first, last=last, version=version)
