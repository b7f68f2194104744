"""The proof of the raw events finds missing, doubled, altered and foreign events."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from schemas.tables import EVENTS, REJECTS
from stream_processors.backends.sql.client import SqlClient
from tallyhouse.load.workload import Bytes, Workload, WorkloadShape
from tests.chaos.raw_events import RawProof, prove_raw_events
from tests.conftest import Databases

NOW = 1_795_262_400_000_000
AT = 107
COLUMNS = ("account", "event_name", "customer_id", "timestamp", "idempotency_key", "properties")


class Stored(msgspec.Struct):
    """An event as the table should store it."""

    event_name: str
    idempotency_key: str
    customer_id: str
    timestamp: str
    properties: msgspec.Raw
    account: str = "acme_live"


Corruption = Callable[[list[Stored]], object]


def sent() -> Iterator[Bytes]:
    """Yields three pieces of a hundred events."""
    workload = Workload(WorkloadShape(duplicates=0, customers=10), "chaosrun")
    return (workload.batch(100, NOW + number).rows for number in range(3))


def proven(databases: Databases, corrupt: Corruption = lambda _stored: None) -> RawProof:
    """Stores what was sent, corrupted, and compares."""
    rows = (row.tobytes()[:-1] for rows in sent() for row in rows)
    stored = [msgspec.json.decode(row, type=Stored) for row in rows]
    corrupt(stored)
    store: SqlClient = databases()
    store.insert_arrow("events", as_table(stored), "events")
    return prove_raw_events(store, sent(), at_a_time=100)


def as_table(stored: list[Stored]) -> pa.Table:
    columns: dict[str, list[Any]] = {name: [getattr(event, name) for event in stored] for name in COLUMNS}
    columns["properties"] = [bytes(properties).decode() for properties in columns["properties"]]
    columns["timestamp"] = [datetime.fromisoformat(timestamp) for timestamp in columns["timestamp"]]
    return pa.table(columns, schema=pa.schema([EVENTS.field(name) for name in COLUMNS]))


def double(stored: list[Stored]) -> None:
    stored.append(stored[AT])


def remove(stored: list[Stored]) -> None:
    del stored[AT]


def swap(stored: list[Stored]) -> None:
    """Stores as many events as were sent, but one twice and another not at all."""
    stored[AT] = stored[AT + 1]


def alter(**fields: Any) -> Corruption:
    return lambda stored: stored.__setitem__(AT, msgspec.structs.replace(stored[AT], **fields))


def test_events_stored_as_sent_have_no_differences(databases: Databases) -> None:
    assert proven(databases) == RawProof(compared=300, differences=[])


@pytest.mark.parametrize(
    ("corrupt", "words"),
    [
        (remove, ["sent, but not in the table", "299 are in the table"]),
        (double, ["in the table, but not sent", "301 are in the table"]),
        (swap, ["sent, but not in the table", "in the table, but not sent"]),
        (alter(customer_id="chaosrun_0011"), ["sent, but not", "not sent"]),
        (alter(timestamp="2026-11-21T12:00:00.000000Z"), ["sent, but not", "not sent"]),
        (alter(properties=msgspec.Raw(b'{"tokens":1}')), ["sent, but not", "not sent"]),
        (alter(idempotency_key="not-sent"), ["sent, but not"]),
        (alter(account="acme_test"), ["of 2 accounts"]),
    ],
)
def test_every_corruption_of_one_event_is_reported(databases: Databases, corrupt: Corruption, words: list[str]) -> None:
    differences = proven(databases, corrupt).differences
    assert len(differences) == len(words)
    for difference, word in zip(differences, words, strict=True):
        assert word in difference


def test_an_event_that_was_never_sent_is_reported(databases: Databases) -> None:
    """Its key is outside every range that is read back."""

    def add(stored: list[Stored]) -> None:
        stored.append(msgspec.structs.replace(stored[AT], idempotency_key="zz"))

    assert proven(databases, add).differences == ["300 different events were sent, 301 are in the table"]


def test_a_reject_is_reported(databases: Databases) -> None:
    """A conflict, for instance, means that two events had one key."""
    store: SqlClient = databases()
    row = {name: [None] for name in REJECTS.names}
    fields = [field.with_nullable(True) for field in REJECTS]
    store.insert_arrow("rejects", pa.table(row, schema=pa.schema(fields)), "rejects")
    differences = prove_raw_events(store, iter(()), at_a_time=100).differences
    assert any("1 rejects" in difference for difference in differences)
