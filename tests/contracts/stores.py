"""The subjects of the usage store's contracts, and rows to write."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import msgspec
import pyarrow as pa

from schemas.flush import Claim, Table
from schemas.hashing import key_hash
from schemas.tables import LAYOUTS, NO_LATEST, flush_receipt
from stream_processors.ports import BackfillTables, Claims, EventHistory, SeenKeys, StoreCheck, Tables
from tests.factories import ACCOUNT, NOW

MONTH = 202611


class AnyStore(Claims, Tables, SeenKeys, BackfillTables, EventHistory, StoreCheck, Protocol):
    """The usage store for a flush and a backfill."""


class Subject(msgspec.Struct, frozen=True):
    """A store under test, and the effects of a failing disk."""

    store: AnyStore
    rival: AnyStore
    """The store of another worker, on the same data."""
    rows: Callable[[Table], Awaitable[pa.Table]]
    lose_rows: Callable[[Table], Awaitable[None]]
    """Deletes the rows and keeps the tokens."""
    forget_tokens: Callable[[Table], Awaitable[None]]
    """Deletes the tokens and keeps the rows."""


def claim_of(number: int = 0, partition: int = 0, first: int = 0, last: int = 9, version: int = 1) -> Claim:
    return Claim(partition=partition, number=number, first=first, last=last, version=version)


def key(name: str) -> bytes:
    return key_hash(ACCOUNT, name)


def rows_of(
    table: Table, names: Sequence[str], number: int = 0, partition: int = 0, arrival: int = NOW, **changes: Any
) -> pa.Table:
    """One row for each name, as a flush would write them."""
    make = {Table.EVENTS: _event, Table.USAGE: _usage, Table.REJECTS: _reject, Table.SEEN: _seen}[table]
    place = {"p": partition, "n": number, "month": MONTH}
    rows = [
        {**make(name), **place, "offset": number, "place": index, "arrival": arrival, **changes}
        for index, name in enumerate(names)
    ]
    if table is Table.USAGE:
        rows.append(_receipt(flush_receipt(partition, number)))
    return pa.Table.from_pylist(rows, LAYOUTS[table])


def backfill_rows_of(table: Table, receipt: str) -> pa.Table:
    if table is Table.USAGE:
        return pa.Table.from_pylist([_usage("a"), _receipt(receipt)], LAYOUTS[table])
    return rows_of(table, ["a"], origin=receipt)


def piece_of(table: Table, meter: str, piece: int, *, last: bool = False) -> pa.Table:
    """A piece of flush 0 of partition 0, or of a chunk's backfill, that ends with the meter."""
    rows = rows_of(table, ["a"], meter=meter, **({"piece": piece} if table is Table.REJECTS else {}))
    if table is Table.REJECTS or last:
        return rows
    ended = [row if row["meter"] else row | {"grp": f"{piece}/{ACCOUNT}/{meter}"} for row in rows.to_pylist()]
    return pa.Table.from_pylist(ended, LAYOUTS[table])


def backfill_piece_of(table: Table, receipt: str, end: int, piece: int, *, last: bool = False) -> pa.Table:
    """A piece of the chunk that ends with the flush `end`."""
    if table is Table.REJECTS:
        return rows_of(table, ["a"], number=end, origin=receipt, piece=piece)
    grp = "" if last else f"{piece}/{end}"
    return pa.Table.from_pylist([_usage("a"), _receipt(receipt) | {"grp": grp}], LAYOUTS[table])


def _receipt(receipt: str) -> dict[str, Any]:
    return {**_usage(""), "account": "", "meter": "", "customer_id": receipt, "grp": ""}


def _event(name: str) -> dict[str, Any]:
    return {
        "account": ACCOUNT,
        "event_name": "api.request",
        "customer_id": "cust_1",
        "timestamp": NOW,
        "idempotency_key": name,
        "key_hash": key(name),
        "body_hash": len(name),
        "properties": '{"tokens":1}',
        "flags": 0,
        "request_id": "req_1",
    }


def _usage(name: str) -> dict[str, Any]:
    return {
        "account": ACCOUNT,
        "meter": "tokens",
        "customer_id": name,
        "minute": NOW // 60_000_000 * 60,
        "grp": "[]",
        "sum": 1,
        "count": 1,
        "min": None,
        "max": None,
        "latest": NO_LATEST,
        "uniques": [],
        "month": MONTH,
    }


def _reject(name: str) -> dict[str, Any]:
    event = {field: value for field, value in _event(name).items() if not field.endswith("_hash")}
    return {
        **event,
        "origin": "",
        "meter": "tokens",
        "code": "VALUE_MISSING",
        "message": "no",
        "replay_of": "",
        "piece": 0,
    }


def _seen(name: str) -> dict[str, Any]:
    return {"key_hash": key(name), "body_hash": len(name)}
