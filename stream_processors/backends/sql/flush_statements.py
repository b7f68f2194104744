"""SQL of a flush: receipts and claims, seen-key lookups, events, and the guards inside inserts."""

from collections.abc import Collection, Sequence

from schemas.flush import FlushRows, Table

_PLACE = "p = {p:UInt16} AND n = {n:UInt64}"

# These statements read one or two rows from one place, where optimizations for long reads only cost time. LIMIT 1 is
# several times cheaper than count() or EXISTS.
_POINT = "SETTINGS max_threads = 1, use_query_condition_cache = 0, optimize_move_to_prewhere = 0"

CLAIMS_FROM = f"""\
SELECT n, a, b, ver, kind = 'done' FROM flushes WHERE p = {{p:UInt16}} AND n >= {{n:UInt64}} {_POINT}"""

HIGHEST = f"""\
SELECT n, a, b, ver, kind = 'done' FROM flushes
WHERE p = {{p:UInt16}} AND n >= (SELECT max(n) FROM flushes WHERE p = {{p:UInt16}} AND kind = 'claim') {_POINT}"""

IS_DONE = f"SELECT 1 FROM flushes WHERE {_PLACE} AND kind = 'done' LIMIT 1 {_POINT}"

_RECEIPTS = "usage WHERE account = '' AND meter = '' AND customer_id = {receipt:String}"

PIECES = {
    Table.EVENTS: f"SELECT 1 FROM events WHERE {_PLACE} LIMIT 1 {_POINT}",
    Table.USAGE: f"SELECT grp FROM {_RECEIPTS} {_POINT}",
    # Of each piece the last meter; conflicts, which have none, come before all meters.
    Table.REJECTS: f"""\
SELECT piece, max((meter != '', if(meter = '', '', account), meter)) AS last, count() AS size FROM rejects
WHERE {_PLACE} AND origin = '' GROUP BY piece {_POINT}""",
    Table.SEEN: f"SELECT 1 FROM seen WHERE {_PLACE} LIMIT 1 {_POINT}",
}
"""What a table shows of a flush: `SqlEngine` makes an extent of it."""

_FOUND = {Table.EVENTS: "1", Table.USAGE: "grp", Table.REJECTS: "(piece, last, size)", Table.SEEN: "1"}

FLUSH_STATE = {
    table: f"SELECT groupArray({_FOUND[table]}), ({IS_DONE}) IS NOT NULL FROM (\n{PIECES[table]}\n)" for table in Table
}
"""The rows of `PIECES`, and whether the flush is done, in one round trip."""

BACKFILL_PIECES = {
    Table.USAGE: PIECES[Table.USAGE],
    Table.REJECTS: f"""\
SELECT piece, max(n) AS last, count() AS size FROM rejects WHERE origin = {{receipt:String}}
GROUP BY piece {_POINT}""",
}

BROKEN_PARTS = """\
SELECT table, name FROM system.detached_parts
WHERE database = currentDatabase() AND startsWith(reason, 'broken') ORDER BY table, name"""
"""The parts that the engine could not read at its start, and has put aside without a word."""

# Counted in a pass over two small columns: a partition makes millions of flushes, and sets of them would need memory.
FLUSH_COUNTS = """\
SELECT kind, max(n), count() FROM flushes WHERE p = {p:UInt16} GROUP BY kind"""

FLUSH_NUMBERS = """\
SELECT kind, max(n), uniqExact(n) FROM flushes WHERE p = {p:UInt16} GROUP BY kind"""
"""As `FLUSH_COUNTS`, for a store that keeps a row more than once."""

RECEIPT_COUNTS = """\
SELECT
    (SELECT count() FROM flushes WHERE p = {p:UInt16} AND kind = 'claim' AND b >= a AND n <= {done:Int64}),
    (SELECT count() FROM usage
     WHERE account = '' AND meter = '' AND startsWith(customer_id, {prefix:String}) AND grp = ''
       AND toInt64(substring(customer_id, length({prefix:String}) + 1)) <= {done:Int64})"""
"""How many flushes that are done took frames, and how many receipts they have left."""

WITHOUT_RECEIPT = """\
SELECT count(), min(n), max(n) FROM flushes
WHERE p = {p:UInt16} AND kind = 'claim' AND b >= a
  AND n IN (SELECT n FROM flushes WHERE p = {p:UInt16} AND kind = 'done')
  AND n NOT IN (
    SELECT toUInt64(substring(customer_id, length({prefix:String}) + 1)) FROM usage
    WHERE account = '' AND meter = '' AND startsWith(customer_id, {prefix:String}) AND grp = '')"""
"""Each flush that took frames and is done has left a receipt in `usage`, in the block of its rows; these have not."""

# Sums and counts in a pass over a few small columns each; single flushes are looked at only where these differ.
STATED_ROWS = """\
SELECT rows_month AS month, count(), min(n), max(n),
    sum(rows_events), sum(rows_pieces), sum(rows_rejects), sum(rows_seen)
FROM flushes WHERE p = {p:UInt16} AND kind = 'done' AND rows_month > 0 GROUP BY month ORDER BY month"""
"""How many rows the tables had of the flushes of each month, when they were done."""

_PIECES_OF = """\
(SELECT toUInt64OrZero(substring(customer_id, length({prefix:String}) + 1)) AS n, month FROM usage
    WHERE account = '' AND meter = '' AND startsWith(customer_id, {prefix:String}))"""

_HELD = {
    Table.EVENTS: "events WHERE p = {p:UInt16}",
    Table.USAGE: f"{_PIECES_OF} WHERE true",
    Table.REJECTS: "rejects WHERE p = {p:UInt16} AND origin = ''",
    Table.SEEN: "seen WHERE p = {p:UInt16}",
}

HELD_ROWS = {
    table: f"SELECT count() FROM {held} AND month = {{month:UInt32}} AND n BETWEEN {{first:UInt64}} AND {{last:UInt64}}"
    for table, held in _HELD.items()
}
"""How many it has of some flushes."""

_STATED = {
    Table.EVENTS: "rows_events",
    Table.USAGE: "rows_pieces",
    Table.REJECTS: "rows_rejects",
    Table.SEEN: "rows_seen",
}

DIFFERING_FLUSHES = {
    table: f"""\
SELECT n, max(stated) AS wanted, sum(one) AS found FROM (
    SELECT n, toInt64({_STATED[table]}) AS stated, toInt64(0) AS one, 1 AS is_stated FROM flushes
    WHERE p = {{p:UInt16}} AND kind = 'done' AND rows_month = {{month:UInt32}}
        AND n BETWEEN {{first:UInt64}} AND {{last:UInt64}}
    UNION ALL SELECT n, toInt64(0), toInt64(1), 0 FROM {held}
        AND month = {{month:UInt32}} AND n BETWEEN {{first:UInt64}} AND {{last:UInt64}})
GROUP BY n HAVING max(is_stated) = 1 AND wanted != found ORDER BY n"""
    for table, held in _HELD.items()
}
"""The flushes of which a table has more or fewer rows than when they were done."""

RECEIPTS = """\
SELECT DISTINCT customer_id FROM usage
WHERE account = '' AND meter = '' AND customer_id >= {prefix:String} AND startsWith(customer_id, {prefix:String})
  AND grp = ''"""

ACTIVATION = """\
SELECT min(n) FROM flushes WHERE p = {p:UInt16} AND kind = 'claim' AND ver >= {ver:UInt64} HAVING count() > 0"""

SEEN_COUNT = "SELECT count() FROM seen WHERE p = {p:UInt16} AND n < {n:UInt64}"

SEEN_SLICE = """\
SELECT key_hash FROM seen
WHERE p = {p:UInt16} AND n < {n:UInt64} AND key_hash >= unhex({start:String}) AND key_hash <= unhex({end:String})"""

EVENT_SIZES = """\
SELECT n, sum(length(properties) + 200) FROM events WHERE p = {p:UInt16} AND n BETWEEN {first:UInt64} AND {last:UInt64}
GROUP BY n ORDER BY n"""

EVENTS_OF = """\
SELECT * FROM events WHERE p = {p:UInt16} AND n BETWEEN {first:UInt64} AND {last:UInt64}
ORDER BY p, n, offset, place"""


# These statements read hundreds of scattered granules, each a few kilobytes: mapped files save a read call for each,
# and the index of flush numbers, which cannot exclude any of them, costs more than all the rest.
_SCATTERED = """SETTINGS max_threads = 1, use_query_condition_cache = 0, use_skip_indexes = 0,
    local_filesystem_read_method = 'mmap', min_bytes_to_use_mmap_io = 1"""


def find_statement(table: Table, key_hashes: Sequence[bytes]) -> str:
    """The newest row of each key.

    The hashes are computed here, so they may be part of the text: as literals they are parsed several times faster than
    as parameters.
    """
    in_events = table is Table.EVENTS
    arrival = "toUnixTimestamp64Micro(arrival)" if in_events else "arrival"
    settings = "" if in_events else _SCATTERED
    return f"""\
SELECT key_hash, argMax(body_hash, {arrival}) AS body, max({arrival}) AS latest FROM {table.value}
WHERE p = {{p:UInt16}} AND n < {{n:UInt64}} AND key_hash IN ({", ".join(map(_literal, key_hashes))})
GROUP BY key_hash {settings}"""


def _literal(key_hash: bytes) -> str:
    return "'" + "".join(f"\\x{byte:02x}" for byte in key_hash) + "'"


RUNNING_INSERTS = "SELECT query_id FROM system.processes WHERE query_kind = 'Insert'"
"""The inserts in progress: a statement is listed from before its guard is evaluated until its rows are committed."""


def _absent(point_query: str) -> str:
    """A scalar subquery without a row is NULL; the store evaluates it once, before it reads the rows to insert."""
    return f"({point_query}) IS NULL"


def _present(point_query: str) -> str:
    return f"({point_query}) IS NOT NULL"


NOT_DONE = _absent(IS_DONE)

UNCLAIMED = _absent(
    "SELECT 1 FROM flushes WHERE p = {p:UInt16} AND n >= {n:UInt64} AND kind = 'claim' LIMIT 1 "
    "SETTINGS max_threads = 1, use_query_condition_cache = 0"
)

# Each piece has a receipt of its own, and the last one too: so many are there as pieces.
_NO_USAGE_PIECE = f"(SELECT uniqExact(grp) FROM {_RECEIPTS} {_POINT}) <= {{piece:UInt32}}"

_NO_PIECE = {
    Table.EVENTS: _absent(PIECES[Table.EVENTS]),
    Table.USAGE: _NO_USAGE_PIECE,
    Table.REJECTS: _absent(
        f"SELECT 1 FROM rejects WHERE {_PLACE} AND origin = '' AND piece >= {{piece:UInt32}} LIMIT 1 {_POINT}"
    ),
    Table.SEEN: _absent(PIECES[Table.SEEN]),
}

NOT_APPLIED = {table: f"{NOT_DONE}\nAND {absent}" for table, absent in _NO_PIECE.items()}

_HELD = {
    Table.EVENTS: _present(PIECES[Table.EVENTS]),
    # The receipt without an end, that of the last piece.
    Table.USAGE: _present(f"SELECT 1 FROM {_RECEIPTS} AND grp = '' LIMIT 1 {_POINT}"),
    Table.REJECTS: _present(f"SELECT 1 FROM rejects WHERE {_PLACE} AND origin = '' LIMIT 1 {_POINT}"),
    Table.SEEN: _present(PIECES[Table.SEEN]),
}


def all_held(tables: Collection[Table]) -> str:
    """The condition that each of the tables holds the flush."""
    return "\nAND ".join(_HELD[table] for table in tables)


def guarded_by(guard: str, tables: Collection[Table]) -> str:
    """The guard, and the condition that the tables hold the flush."""
    return f"{guard}\nAND {all_held(tables)}" if tables else guard


_AS_MANY_PIECES = f"(SELECT uniqExact(grp) FROM {_RECEIPTS} {_POINT}) = {{pieces:UInt32}}"


def all_written(rows: FlushRows) -> str:
    """The condition that the flush is not done, and that all of its rows are there."""
    guard = guarded_by(NOT_DONE, rows.tables)
    return f"{guard}\nAND {_AS_MANY_PIECES}" if rows.pieces else guard


NOT_BACKFILLED = {
    Table.USAGE: _NO_USAGE_PIECE,
    Table.REJECTS: _absent(
        f"SELECT 1 FROM rejects WHERE origin = {{receipt:String}} AND piece >= {{piece:UInt32}} LIMIT 1 {_POINT}"
    ),
}
