"""Finds what a usage store lacks, and what of it can be made again from `events`.

Flush by flush: the numbers of claims have no gaps, a flush that is done has its receipt in `usage`, and each of its
events has one key in `seen`, unless the month has expired. A key without an event is that of a replay, or its event is
lost; only `rejects` can tell.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from schemas.flush import Claim, Table
from schemas.hashing import key_hash
from schemas.tables import EVENTS, flush_receipt, reject_id, replay_key
from schemas.timestamps import month_of
from stream_processors.backends.sql.client import AsyncSqlClient, Row
from stream_processors.backends.sql.engine import progress_of
from stream_processors.backends.sql.flush_statements import CLAIMS_FROM
from stream_processors.backends.sql.row_counts import CountDifference, counted_flushes
from stream_processors.backends.sql.store_findings import (
    REPAIRABLE,
    BrokenPart,
    PartitionFlushes,
    Replay,
    StoreFindings,
    ranges,
)
from stream_processors.core.flush_gaps import ClaimGap, Numbers, derived_claims, runs_missing
from stream_processors.ports import MeterSets

BROKEN = """\
SELECT table, name, toUInt32OrZero(ifNull(partition_id, '')) FROM system.detached_parts
WHERE database = currentDatabase() AND startsWith(reason, 'broken') ORDER BY table, name"""

_NUMBERS = "SELECT DISTINCT toInt64(n) AS n FROM flushes WHERE p = {p:UInt16} AND kind = {kind:String} ORDER BY n"

_CLAIMS = """\
SELECT DISTINCT toInt64(n) AS n, toInt64(ver) AS ver, b >= a AS has_frames FROM flushes
WHERE p = {p:UInt16} AND kind = 'claim' ORDER BY n"""

_RECEIPTS = """\
SELECT toInt64OrZero(substring(customer_id, length({prefix:String}) + 1)) AS n, any(month) AS month,
    groupArray(grp) AS pieces FROM usage
WHERE account = '' AND meter = '' AND startsWith(customer_id, {prefix:String})
GROUP BY n ORDER BY n"""

_EVENT_MONTHS = """\
SELECT toInt64(n) AS n, any(month) AS month FROM events WHERE p = {p:UInt16} GROUP BY n ORDER BY n"""

_KEY_MONTHS = """\
SELECT toInt64(n) AS n, any(month) AS month FROM seen WHERE p = {p:UInt16} AND seen.month > 0 GROUP BY n ORDER BY n"""

_STATED_MONTHS = """\
SELECT toInt64(n) AS n, any(rows_month) AS month FROM flushes
WHERE p = {p:UInt16} AND kind = 'done' AND rows_month > 0 GROUP BY n ORDER BY n"""

_OFFSETS = """\
SELECT n, min(offset), max(offset) FROM events
WHERE p = {p:UInt16} AND n BETWEEN {first:UInt64} AND {last:UInt64} GROUP BY n"""

_LAST_KEY = "SELECT if(count() = 0, -1, toInt64(max(n))) FROM seen WHERE p = {p:UInt16}"

MONTHS = "SELECT DISTINCT month FROM {table} ORDER BY month"

_KEY_BALANCE = """\
SELECT p, n FROM (
    SELECT p, n, toInt64(1) AS surplus FROM seen WHERE month = {month:UInt32}
    UNION ALL SELECT p, n, toInt64(-1) FROM events WHERE month = {month:UInt32})
GROUP BY p, n HAVING sum(surplus) * {sign:Int8} > 0 ORDER BY p, n LIMIT {limit:UInt64}"""

_KEYS_WITHOUT_EVENTS = """\
SELECT key_hash, n, arrival FROM seen
WHERE month = {month:UInt32} AND p = {p:UInt16} AND n BETWEEN {first:UInt64} AND {last:UInt64}
AND key_hash NOT IN (SELECT key_hash FROM events WHERE p = {p:UInt16} AND n BETWEEN {first:UInt64} AND {last:UInt64})"""

_PRESERVED_KEYS = "SELECT p, key_hash, n, arrival FROM seen WHERE month = 0"

_REJECT_SIZES = "SELECT n, count() FROM rejects WHERE p = {p:UInt16} GROUP BY n ORDER BY n"

_NO_HASHES = {"key_hash": "toFixedString('', 16) AS key_hash", "body_hash": "toUInt64(0) AS body_hash"}

_REJECTS = f"""\
SELECT {", ".join(_NO_HASHES.get(name, name) for name in EVENTS.names)}, origin, meter FROM rejects
WHERE p = {{p:UInt16}} AND n BETWEEN {{first:UInt64}} AND {{last:UInt64}} AND meter != ''"""

_RUN_ROWS = 100_000
_MOST_FLUSHES = 100_000


class StoreInspection:
    """Finds what a store lacks. Nothing may write to it meanwhile."""

    def __init__(self, store: AsyncSqlClient, partitions: int, positions: Mapping[int, int], meters: MeterSets) -> None:
        """`positions` are the last offsets that are recorded as counted."""
        self._store = store
        self._partitions = range(partitions)
        self._positions = positions
        self._meters = meters

    async def findings(self, *, all_usage: bool = False) -> StoreFindings:
        """With `all_usage` all of it is to be counted again, whatever it looks like."""
        broken = [BrokenPart(str(t), str(name), int(month)) for t, name, month in await self._store.rows(BROKEN)]
        found = await self._flush_findings()
        damaged = {table: _damaged(table, broken, found.differences) for table in Table}
        events = await self._months("events")
        usage = found.usage | damaged[Table.USAGE]
        if all_usage or not found.is_certain:
            usage |= set(events) | set(await self._months("usage"))
        balance = await self._key_balance(events)
        seen = balance.lacking | damaged[Table.SEEN]
        replays, orphans = await self._replays(balance.surplus)
        lost_rows = [each for each in found.differences if each.table is Table.EVENTS and each.lost]
        # A part that was put aside may be one of which all rows are in other parts too: a merge that was not finished.
        complete = set(balance.judged) - balance.lacking - set(orphans) - {each.month for each in lost_rows}
        lost = [part for part in broken if part.table not in REPAIRABLE]
        lost = [part for part in lost if part.table != "events" or part.month not in complete]
        lost_months = {part.month for part in lost if part.table == "events"} | set(orphans)
        lost_months |= {each.month for each in lost_rows}
        sentences = [*_lost_parts(lost), *_lost_events(orphans), *map(str, lost_rows)]
        return StoreFindings(
            broken=broken,
            claims=found.claims,
            done=found.done,
            is_certain=found.is_certain,
            usage=sorted(usage - lost_months),
            seen=sorted(seen - lost_months),
            rejects=sorted(damaged[Table.REJECTS] - lost_months),
            lost=[*sentences, *_unmade(usage | seen, lost_months)],
            mended=[part for part in broken if part not in lost],
            flushes=found.flushes,
            replays=replays,
        )

    async def _flush_findings(self) -> "FlushFindings":
        newest = await self._meters.newest_version()
        flushes: dict[int, PartitionFlushes] = {}
        claims: list[Claim] = []
        done: list[tuple[int, int]] = []
        differences: list[CountDifference] = []
        usage: set[int] = set()
        is_certain = True
        for partition in self._partitions:
            receipts = await self._receipts(partition)
            derived, certain = await self._derived_claims(partition, newest, receipts)
            missing, marks = await self._missing_done(partition, derived)
            claims, done, is_certain = [*claims, *derived], [*done, *missing], is_certain and certain
            flushes[partition] = found = await self._flushes(partition, derived, marks, receipts)
            usage |= set(found.months[~np.isin(found.counted, receipts.whole)].tolist())
            usage |= set(found.months[np.isin(found.counted, receipts.torn)].tolist())
            differences += (await counted_flushes(self._store, partition)).differences
        return FlushFindings(flushes, claims, done, differences, usage, is_certain)

    async def _months(self, table: str) -> list[int]:
        return [int(month) for (month,) in await self._store.rows(MONTHS.format(table=table))]

    async def _numbers(self, partition: int, kind: str) -> Numbers:
        return _column(await self._store.query(_NUMBERS, {"p": partition, "kind": kind}), "n")

    async def _receipts(self, partition: int) -> "Receipts":
        prefix = flush_receipt(partition, 0).removesuffix("0")
        found = await self._store.query(_RECEIPTS, {"prefix": prefix})
        numbers = _column(found, "n")
        whole = [("" in pieces) for pieces in found["pieces"].to_pylist()]
        torn = [_is_torn(pieces) for pieces in found["pieces"].to_pylist()]
        return Receipts(
            numbers=numbers,
            months=_column(found, "month"),
            whole=numbers[np.array(whole, dtype=np.bool_)],
            torn=numbers[np.array(torn, dtype=np.bool_)],
        )

    async def _derived_claims(self, partition: int, newest: int, receipts: "Receipts") -> tuple[list[Claim], bool]:
        present, done = await self._numbers(partition, "claim"), await self._numbers(partition, "done")
        months = await self._store.query(_EVENT_MONTHS, {"p": partition})
        ((last_key,),) = await self._store.rows(_LAST_KEY, {"p": partition})
        tops = [numbers[-1] for numbers in (present, done, receipts.numbers, _column(months, "n")) if len(numbers)]
        claims: list[Claim] = []
        is_certain = True
        for first, last in runs_missing(present, max([int(last_key), *map(int, tops)])):
            offsets = await self._store.rows(_OFFSETS, {"p": partition, "first": first, "last": last})
            within = receipts.numbers[(receipts.numbers >= first) & (receipts.numbers <= last)]
            derived = derived_claims(
                ClaimGap(
                    partition=partition,
                    first=first,
                    last=last,
                    before=await self._claim(partition, first - 1),
                    after=await self._claim(partition, last + 1),
                    offsets={int(n): (int(low), int(high)) for n, low, high in offsets},
                    counted=frozenset(within.tolist()),
                    position=self._positions.get(partition, -1),
                    newest_version=newest,
                )
            )
            claims += derived.claims
            is_certain &= derived.is_certain
        return claims, is_certain

    async def _claim(self, partition: int, number: int) -> Claim | None:
        if number < 0:
            return None
        found = progress_of(partition, await self._store.rows(CLAIMS_FROM, {"p": partition, "n": number}))
        return next((progress.claim for progress in found if progress.claim.number == number), None)

    async def _missing_done(self, partition: int, derived: Sequence[Claim]) -> tuple[list[tuple[int, int]], Numbers]:
        """The flushes that lack the mark, and all that are done."""
        claims = np.union1d(await self._numbers(partition, "claim"), [claim.number for claim in derived])
        marked = await self._numbers(partition, "done")
        if not len(claims):
            return [], marked
        top = int(claims[-1])
        missing = np.setdiff1d(claims[:-1], marked).tolist()
        if top not in marked.tolist()[-1:] and await self._is_done(partition, top, derived):
            missing.append(top)
        return [(partition, number) for number in missing], np.union1d(marked, np.array(missing, dtype=np.int64))

    async def _is_done(self, partition: int, top: int, derived: Sequence[Claim]) -> bool:
        """Whether the last flush was done: its keys are written last, and its position is recorded afterwards."""
        ((last_key,),) = await self._store.rows(_LAST_KEY, {"p": partition})
        claim = await self._claim(partition, top) or derived[-1]
        is_recorded = not claim.is_barrier and self._positions.get(partition, -1) >= claim.last
        was_lost = any(claim.number == top for claim in derived)
        return is_recorded or (was_lost and int(last_key) == top)

    async def _flushes(
        self, partition: int, derived: Sequence[Claim], done: Numbers, receipts: "Receipts"
    ) -> PartitionFlushes:
        found = await self._store.query(_CLAIMS, {"p": partition})
        numbers = np.concatenate([_column(found, "n"), np.array([c.number for c in derived], dtype=np.int64)])
        versions = np.concatenate([_column(found, "ver"), np.array([c.version for c in derived], dtype=np.int64)])
        has_frames = np.concatenate(
            [_column(found, "has_frames") != 0, np.array([not c.is_barrier for c in derived], dtype=np.bool_)]
        )
        order = np.argsort(numbers, kind="stable")
        numbers, versions, has_frames = numbers[order], versions[order], has_frames[order]
        counted = numbers[has_frames & np.isin(numbers, done)]
        months = np.zeros(len(counted), dtype=np.int64)
        # Of a flush whose events are lost, its keys or its mark may still tell the month.
        for statement in (_KEY_MONTHS, _STATED_MONTHS, _EVENT_MONTHS):
            rows = await self._store.query(statement, {"p": partition})
            _fill(months, counted, _column(rows, "n"), _column(rows, "month"))
        _fill(months, counted, receipts.numbers, receipts.months)
        # Months never fall along the flushes; one without events or receipt has the month of the one before it.
        months = np.maximum.accumulate(months) if len(months) else months
        months[months == 0] = next(iter(months[months > 0].tolist()), month_of(0))
        return PartitionFlushes(numbers, versions, counted, months, int(done[-1]) if len(done) else -1)

    async def _key_balance(self, events: Sequence[int]) -> "KeyBalance":
        held = {month for month in await self._months("seen") if month}
        # Expiry drops no month that is newer than the one before the newest.
        judged = sorted(held | set(events[-2:]))
        lacking: set[int] = set()
        surplus: list[tuple[int, int, int]] = []
        for month in judged:
            if await self._store.rows(_KEY_BALANCE, {"month": month, "sign": -1, "limit": 1}):
                lacking.add(month)
            more = await self._store.rows(_KEY_BALANCE, {"month": month, "sign": 1, "limit": _MOST_FLUSHES})
            surplus += [(month, int(p), int(n)) for p, n in more]
        return KeyBalance(judged, lacking, surplus)

    async def _replays(
        self, flushes: Sequence[tuple[int, int, int]]
    ) -> tuple[list[Replay], dict[int, dict[int, list[int]]]]:
        """The replays by their keys; and of other keys without events their flushes, by month and partition."""
        keys: dict[bytes, tuple[int, int, int, int]] = {}
        for p, digest, n, arrival in await self._store.rows(_PRESERVED_KEYS):
            keys[bytes(digest)] = (0, int(p), int(n), int(arrival))
        for month, p, n in flushes:
            place = {"month": month, "p": p, "first": n, "last": n}
            for digest, number, arrival in await self._store.rows(_KEYS_WITHOUT_EVENTS, place):
                keys[bytes(digest)] = (month, p, int(number), int(arrival))
        replays: list[Replay] = []
        if keys:
            async for row in self._rejects():
                found = keys.pop(key_hash(row["account"], replay_key(row["reject"])), None)
                if found is not None:
                    replays.append(Replay(*found[1:], row))
        orphans: dict[int, dict[int, list[int]]] = {}
        for month, p, n, _ in keys.values():
            if month:
                orphans.setdefault(month, {}).setdefault(p, []).append(n)
        return replays, orphans

    async def _rejects(self) -> AsyncIterator[dict[str, Any]]:
        """Every reject of a meter, with its id."""
        for partition in self._partitions:
            for first, last in runs_of_rows(await self._store.rows(_REJECT_SIZES, {"p": partition}), _RUN_ROWS):
                rows = await self._store.query(_REJECTS, {"p": partition, "first": first, "last": last})
                for row in rows.to_pylist():
                    place = (row["p"], row["n"], row["offset"], row["place"], row["meter"], row["origin"])
                    yield row | {"reject": reject_id(*place)}


class FlushFindings(NamedTuple):
    """What is found flush by flush."""

    flushes: Mapping[int, PartitionFlushes]
    claims: Sequence[Claim]
    done: Sequence[tuple[int, int]]
    differences: Sequence[CountDifference]
    usage: set[int]
    """The months of flushes that lack a receipt."""
    is_certain: bool


class KeyBalance(NamedTuple):
    """The keys of each flush compared with its events."""

    judged: Sequence[int]
    """The months that were compared; the others have expired."""
    lacking: set[int]
    """The months that lack keys."""
    surplus: Sequence[tuple[int, int, int]]
    """The flushes with more keys than events: month, partition and number."""


class Receipts(NamedTuple):
    """The flushes of a partition that have a receipt in `usage`, and its month."""

    numbers: Numbers
    months: Numbers
    whole: Numbers
    """Those whose last piece is there."""
    torn: Numbers
    """Those that lack a piece before it."""


def _is_torn(pieces: Sequence[str]) -> bool:
    numbers = {int(piece.partition("/")[0]) for piece in pieces if piece}
    return numbers != set(range(len(numbers)))


def _fill(months: Numbers, numbers: Numbers, known: Numbers, values: Numbers) -> None:
    """Sets the months of those of the numbers that are known."""
    if len(numbers):
        places = np.searchsorted(numbers, known)
        places[places == len(numbers)] = 0
        hits = numbers[places] == known
        months[places[hits]] = values[hits]


def _column(table: pa.Table, name: str) -> Numbers:
    numbers: Numbers = table[name].to_numpy().astype(np.int64)
    return numbers


def runs_of_rows(sizes: Sequence[Row], most: int) -> list[tuple[int, int]]:
    """Runs of flushes of (number, rows), each of a bounded number of rows unless one flush has more."""
    runs: list[tuple[int, int]] = []
    rows = 0
    for number, more in sizes:
        if runs and rows + more <= most:
            runs[-1] = (runs[-1][0], int(number))
            rows += int(more)
        else:
            runs.append((int(number), int(number)))
            rows = int(more)
    return runs


def _damaged(table: Table, broken: Sequence[BrokenPart], differences: Sequence[CountDifference]) -> set[int]:
    """The months of the table that have lost a part, or rows."""
    return {
        *(part.month for part in broken if part.table == table.value),
        *(found.month for found in differences if found.table is table),
    }


def _lost_parts(broken: Sequence[BrokenPart]) -> list[str]:
    return [
        f"part {part.name} of the table {part.table} is lost, and nothing else has its rows: restore the "
        "data directory from a backup"
        for part in broken
    ]


def _lost_events(orphans: Mapping[int, Mapping[int, Sequence[int]]]) -> list[str]:
    return [
        f"{len(numbers)} events of partition {partition}, of the flushes {ranges(sorted(set(numbers)))} in the arrival "
        f"month {month}, are not in the table events; their keys are in seen"
        for month, by_partition in sorted(orphans.items())
        for partition, numbers in sorted(by_partition.items())
    ]


def _unmade(damaged: set[int], lost: set[int]) -> list[str]:
    return [
        f"usage and seen of the arrival month {month} are damaged and not made again, because events of it are lost"
        for month in sorted(damaged & lost)
    ]
