"""The proof of the raw events finds whatever is missing, doubled, altered or foreign."""

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
    """An event as it should lie in the table."""

    event_name: str
    idempotency_key: str
    customer_id: str
    timestamp: str
    properties: msgspec.Raw
    account: str = "acme_live"


Spoil = Callable[[list[Stored]], object]


def sent() -> Iterator[Bytes]:
    """Three pieces of a hundred."""
    workload = Workload(WorkloadShape(duplicates=0, customers=10), "chaosrun")
    return (workload.batch(100, NOW + number).rows for number in range(3))


def proven(databases: Databases, spoil: Spoil = lambda _stored: None) -> RawProof:
    """In a table in which all that was sent was put, and then spoiled."""
    rows = (row.tobytes()[:-1] for rows in sent() for row in rows)
    stored = [msgspec.json.decode(row, type=Stored) for row in rows]
    spoil(stored)
    store: SqlClient = databases()
    store.insert_arrow("events", as_table(stored), "events")
    return prove_raw_events(store, sent(), at_a_time=100)


def as_table(stored: list[Stored]) -> pa.Table:
    columns: dict[str, list[Any]] = {name: [getattr(event, name) for event in stored] for name in COLUMNS}
    columns["properties"] = [bytes(properties).decode() for properties in columns["properties"]]
    columns["timestamp"] = [datetime.fromisoformat(moment) for moment in columns["timestamp"]]
    return pa.table(columns, schema=pa.schema([EVENTS.field(name) for name in COLUMNS]))


def double(stored: list[Stored]) -> None:
    stored.append(stored[AT])


def remove(stored: list[Stored]) -> None:
    del stored[AT]


def swap(stored: list[Stored]) -> None:
    """As many as were sent, but one of them twice and another not at all."""
    stored[AT] = stored[AT + 1]


def alter(**fields: Any) -> Spoil:
    return lambda stored: stored.__setitem__(AT, msgspec.structs.replace(stored[AT], **fields))


def test_what_was_sent_is_found_event_by_event(databases: Databases) -> None:
    """All pieces of it."""
    assert proven(databases) == RawProof(compared=300, differences=[])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (remove, ["sent, but not in the table", "299 are in the table"]),
        (double, ["in the table, but not sent", "301 are in the table"]),
        (swap, ["sent, but not in the table", "in the table, but not sent"]),
        (alter(customer_id="chaosrun_0011"), ["sent, but not", "not sent"]),
        (alter(timestamp="2026-11-21T12:00:00.000000Z"), ["sent, but not", "not sent"]),
        (alter(properties=msgspec.Raw(b'{"tokens":1}')), ["sent, but not", "not sent"]),
        (alter(idempotency_key="somebody-else"), ["sent, but not"]),
        (alter(account="acme_test"), ["of 2 accounts"]),
    ],
)
def test_one_event_makes_the_difference(databases: Databases, spoil: Spoil, words: list[str]) -> None:
    """Each difference is told."""
    differences = proven(databases, spoil).differences
    assert len(differences) == len(words)
    for difference, word in zip(differences, words, strict=True):
        assert word in difference


def test_an_event_of_somebody_else_is_found(databases: Databases) -> None:
    """Though nobody asks for its key."""

    def add(stored: list[Stored]) -> None:
        stored.append(msgspec.structs.replace(stored[AT], idempotency_key="zz"))

    assert proven(databases, add).differences == ["300 different events were sent, 301 are in the table"]


def test_a_reject_is_found(databases: Databases) -> None:
    """A conflict, say: then two events had one key."""
    store: SqlClient = databases()
    row = {name: [None] for name in REJECTS.names}
    fields = [field.with_nullable(True) for field in REJECTS]
    store.insert_arrow("rejects", pa.table(row, schema=pa.schema(fields)), "rejects")
    differences = prove_raw_events(store, iter(()), at_a_time=100).differences
    assert any("1 rejects" in difference for difference in differences)
