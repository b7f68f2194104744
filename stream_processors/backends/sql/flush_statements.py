"""The statements of a flush: reading receipts and claims, looking up keys, reading events back."""

from schemas.flush import Table

_PLACE = "p = {p:UInt16} AND n = {n:UInt64}"

CLAIMS_FROM = """\
SELECT n, a, b, ver, kind = 'done' FROM flushes WHERE p = {p:UInt16} AND n >= {n:UInt64}"""

HIGHEST = """\
SELECT n, a, b, ver, kind = 'done' FROM flushes
WHERE p = {p:UInt16} AND n >= (SELECT max(n) FROM flushes WHERE p = {p:UInt16} AND kind = 'claim')"""

IS_DONE = f"SELECT count() > 0 FROM flushes WHERE {_PLACE} AND kind = 'done'"

_RECEIPT = {
    Table.EVENTS: f"events WHERE {_PLACE}",
    Table.USAGE: "usage WHERE account = '' AND meter = '' AND customer_id = {receipt:String}",
    Table.REJECTS: f"rejects WHERE {_PLACE} AND origin = ''",
    Table.SEEN: f"seen WHERE {_PLACE}",
}

STANDING = {
    table: f"SELECT EXISTS (SELECT 1 FROM {receipt}), EXISTS (SELECT 1 FROM flushes WHERE {_PLACE} AND kind = 'done')"
    for table, receipt in _RECEIPT.items()
}

HAS_BACKFILL = {
    Table.USAGE: f"SELECT EXISTS (SELECT 1 FROM {_RECEIPT[Table.USAGE]})",
    Table.REJECTS: "SELECT EXISTS (SELECT 1 FROM rejects WHERE origin = {receipt:String})",
}

RECEIPTS = """\
SELECT DISTINCT customer_id FROM usage
WHERE account = '' AND meter = '' AND customer_id >= {prefix:String} AND startsWith(customer_id, {prefix:String})"""

ACTIVATION = """\
SELECT min(n) FROM flushes WHERE p = {p:UInt16} AND kind = 'claim' AND ver >= {ver:UInt64} HAVING count() > 0"""

SEEN_COUNT = "SELECT count() FROM seen WHERE p = {p:UInt16} AND n < {n:UInt64}"

SEEN_SLICE = """\
SELECT key_hash FROM seen
WHERE p = {p:UInt16} AND n < {n:UInt64} AND key_hash >= unhex({start:String}) AND key_hash <= unhex({end:String})"""

EVENT_COUNTS = """\
SELECT n, count() FROM events WHERE p = {p:UInt16} AND n BETWEEN {first:UInt64} AND {last:UInt64}
GROUP BY n ORDER BY n"""

EVENTS_OF = """\
SELECT * FROM events WHERE p = {p:UInt16} AND n BETWEEN {first:UInt64} AND {last:UInt64}
ORDER BY p, n, offset, place"""


def find_statement(table: Table, key_hashes: list[bytes]) -> str:
    """The newest row of each key. The hashes are our own bytes, so they may stand in the text: as literals they are
    read several times faster than as parameters."""
    arrival = "toUnixTimestamp64Micro(arrival)" if table is Table.EVENTS else "arrival"
    return f"""\
SELECT key_hash, argMax(body_hash, {arrival}) AS body, max({arrival}) AS latest FROM {table.value}
WHERE p = {{p:UInt16}} AND n < {{n:UInt64}} AND key_hash IN ({", ".join(map(_literal, key_hashes))})
GROUP BY key_hash"""


def _literal(key_hash: bytes) -> str:
    return "'" + "".join(f"\\x{byte:02x}" for byte in key_hash) + "'"
