"""Lists raw events and rejects, newest arrival first, and explains how an event was counted."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from schemas.event import EventFlag
from schemas.listing import EventPlace, EventQuery, MeterCount, Page, Reject, RejectQuery, Share, StoredEvent
from schemas.meter import Meter
from schemas.tables import BACKFILL_CHUNK, backfill_receipt, reject_id
from schemas.timestamps import DAY, MINUTE
from stream_processors.backends.reading.cursor import Key, encode_cursor
from stream_processors.backends.reading.event_outcome import event_outcomes
from stream_processors.backends.reading.replays import ReplayLookup
from stream_processors.backends.sql.client import AsyncSqlClient
from stream_processors.backends.sql.event_query import (
    event_cursor,
    events_statement,
    reject_cursor,
    rejects_statement,
)
from stream_processors.backends.sql.flush_table import FlushTable

EventRow = Mapping[str, Any]

LOOK_BACK = (60 * MINUTE, 7 * DAY)
"""The ranges before the cursor to search first, one after the other. A busy account's page is in the first one."""

REJECTS_PER_READ = 1000

EXISTING_RECEIPTS = """\
SELECT DISTINCT customer_id FROM usage
WHERE account = '' AND meter = '' AND customer_id IN {receipts:Array(String)} AND grp = ''"""


class SqlEventReader:
    """Reads events and rejects from the usage store."""

    def __init__(self, store: AsyncSqlClient, replayed: ReplayLookup, now: Callable[[], int]) -> None:
        self._store = store
        self._replayed = replayed
        self._now = now
        self._flushes = FlushTable(store)

    async def events(self, query: EventQuery) -> Page:
        """One page of raw events."""
        after = event_cursor(query)
        for since in self._look_back(query, after):
            statement = events_statement(query, after, since, self._replayed.partitions)
            rows = (await self._store.query(statement.sql, statement.params)).to_pylist()
            if since is None or len(rows) > query.limit:
                break
        items = tuple(_stored_event(row) for row in rows[: query.limit])
        return Page(items=items, next_cursor=_cursor(rows, query.limit, _EVENT_KEY))

    def _look_back(self, query: EventQuery, after: Key | None) -> Iterator[int | None]:
        """Arrivals to search from, the latest first; None for all. Keys have an index, and need no range."""
        newest = self._now() if after is None else int(after[0])
        if query.idempotency_key is None:
            yield from (newest - span for span in LOOK_BACK)
        yield None

    async def rejects(self, query: RejectQuery) -> Page:
        """One page of rejects. It may take several reads: which rejects were replayed is known only after reading."""
        after = reject_cursor(query)
        kept: list[EventRow] = []
        at_once = REJECTS_PER_READ if query.open_only or query.ids else query.limit + 1
        while True:
            statement = rejects_statement(query, after, at_once)
            rows = (await self._store.query(statement.sql, statement.params)).to_pylist()
            kept += await self._with_replays(rows, query)
            if len(kept) > query.limit or len(rows) < at_once:
                break
            after = _key(rows[-1], _REJECT_KEY)
        items = tuple(_reject(row) for row in kept[: query.limit])
        return Page(items=items, next_cursor=_cursor(kept, query.limit, _REJECT_KEY))

    async def _with_replays(self, rows: Sequence[dict[str, Any]], query: RejectQuery) -> list[EventRow]:
        named = [row | {"id": _id(row)} for row in rows]
        replayed = await self._replayed.arrivals(query.account, [row["id"] for row in named])
        return [
            row | {"replayed": row["id"] in replayed}
            for row in named
            if (not query.ids or row["id"] in query.ids) and not (query.open_only and row["id"] in replayed)
        ]

    async def counted(self, event: StoredEvent, meters: Sequence[Meter]) -> Sequence[MeterCount]:
        """How each meter that was in force for the event, or was backfilled over it, counted it."""
        version = await self._flushes.version_of(event.place.partition, event.place.number)
        if version is None:
            return ()
        in_force = [meter for meter in meters if meter.counts_in(version)]
        younger = {_receipt(meter, event.place): meter for meter in meters if meter.version > version}
        existing = await self._store.rows(EXISTING_RECEIPTS, {"receipts": list(younger)}) if younger else ()
        covered = {str(receipt) for (receipt,) in existing}
        pending = [meter.code for receipt, meter in younger.items() if receipt not in covered]
        backfilled = [meter for receipt, meter in younger.items() if receipt in covered]
        return (
            *event_outcomes(event, [*in_force, *backfilled]),
            *(MeterCount(meter=m, share=Share.PENDING) for m in pending),
        )


def _receipt(meter: Meter, place: EventPlace) -> str:
    return backfill_receipt(meter.account, meter.code, place.partition, place.number // BACKFILL_CHUNK)


_EVENT_KEY = ("arrived", "p", "n", "offset", "place")
_REJECT_KEY = (*_EVENT_KEY, "origin", "meter")


def _key(row: EventRow, columns: Sequence[str]) -> Key:
    return tuple(row[column] for column in columns)


def _cursor(rows: Sequence[EventRow], limit: int, columns: Sequence[str]) -> str | None:
    return encode_cursor(_key(rows[limit - 1], columns)) if len(rows) > limit else None


def _id(row: EventRow) -> str:
    return reject_id(row["p"], row["n"], row["offset"], row["place"], row["meter"], row["origin"])


def _stored_event(row: EventRow) -> StoredEvent:
    place = EventPlace(partition=row["p"], number=row["n"], offset=row["offset"], place=row["place"])
    return StoredEvent(**_shared(row), backfill=bool(row["flags"] & EventFlag.BACKFILL), place=place)


def _reject(row: EventRow) -> Reject:
    own = {name: row[name] for name in ("id", "code", "message", "replayed")}
    return Reject(**_shared(row), **own, meter=row["meter"] or None, replay_of=row["replay_of"] or None)


def _shared(row: EventRow) -> dict[str, Any]:
    texts = ("account", "event_name", "idempotency_key", "customer_id", "properties", "request_id")
    return {name: row[name] for name in texts} | {"timestamp": row["happened"], "arrival": row["arrived"]}
