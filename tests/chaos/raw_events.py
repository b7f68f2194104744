"""Proves that the store holds exactly the events that were sent: each once, byte for byte, and no other."""

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from stream_processors.backends.sql.client import SqlClient
from tallyhouse.load.workload import Bytes
from tests.chaos.load import in_larger_pieces

AT_A_TIME = 100_000
SHOWN = 10

# Rebuilds an event as it was posted. `properties` holds the posted text; the other fields are columns.
_EVENTS = """
SELECT concat(
    '{"event_name":"', event_name, '","idempotency_key":"', idempotency_key, '","customer_id":"', customer_id,
    '","timestamp":"', replaceOne(toString(timestamp), ' ', 'T'), 'Z","properties":', properties, '},') AS event
FROM events
WHERE idempotency_key BETWEEN {first:String} AND {last:String}
ORDER BY idempotency_key
"""
_NUMBERS = "SELECT count(), uniqExact(account) FROM events"
_REJECTS = "SELECT count() FROM rejects"


class RawProof(msgspec.Struct, frozen=True, kw_only=True):
    """The number of events compared, and the first differences."""

    compared: int
    differences: Sequence[str]


def prove_raw_events(store: SqlClient, sent: Iterator[Bytes], *, at_a_time: int = AT_A_TIME) -> RawProof:
    """Compares every distinct event, given in key order, with the table.

    The events between the first and the last key of each piece are read back and must be the same list: none is
    missing, doubled, or different in a byte. The table must hold as many events as were compared, so it holds no other.
    """
    compared, differences = 0, list[str]()
    for rows in in_larger_pieces(sent, at_a_time):
        expected = [row.tobytes().decode() for row in rows]
        differences += _compared(expected, _found(store, expected))
        compared += len(expected)
    ((stored, accounts),) = store.query_rows(_NUMBERS)
    ((rejected,),) = store.query_rows(_REJECTS)
    if stored != compared:
        differences.append(f"{compared:,} different events were sent, {stored:,} are in the table")
    if accounts != 1:
        differences.append(f"the events are of {accounts} accounts")
    if rejected:
        differences.append(f"{rejected:,} rejects: {store.query_rows('SELECT * FROM rejects LIMIT 3')}")
    return RawProof(compared=compared, differences=differences[:SHOWN])


def _found(store: SqlClient, expected: Sequence[str]) -> Sequence[str]:
    found = store.query_arrow(_EVENTS, {"first": _key(expected[0]), "last": _key(expected[-1])})
    events: Sequence[str] = found.column("event").to_pylist()
    return events


def _key(event: str) -> str:
    key: str = msgspec.json.decode(event.removesuffix(","))["idempotency_key"]
    return key


def _compared(expected: Sequence[str], found: Sequence[str]) -> Iterator[str]:
    if expected == found:
        return
    sent, stored = Counter(expected), Counter(found)
    yield from (f"sent, but not in the table (so often): {event}" for event in (sent - stored).elements())
    yield from (f"in the table, but not sent (so often): {event}" for event in (stored - sent).elements())
