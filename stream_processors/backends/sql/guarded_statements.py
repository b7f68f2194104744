"""Conditions inside inserts: each asks for one row that must not be there yet."""

from schemas.flush import Table
from stream_processors.backends.sql.flush_statements import HAS_BACKFILL, IS_APPLIED, IS_DONE

RUNNING_INSERTS = "SELECT query_id FROM system.processes WHERE query_kind = 'Insert'"
"""What the store works on: a statement is listed before its guard is evaluated and until its rows are committed."""


def _absent(point_query: str) -> str:
    """A scalar subquery without a row is NULL; the store evaluates it once, before it reads what is to be inserted."""
    return f"({point_query}) IS NULL"


NOT_DONE = _absent(IS_DONE)

UNCLAIMED = _absent(
    "SELECT 1 FROM flushes WHERE p = {p:UInt16} AND n >= {n:UInt64} AND kind = 'claim' LIMIT 1 "
    "SETTINGS max_threads = 1, use_query_condition_cache = 0"
)

NOT_APPLIED = {table: f"{NOT_DONE}\nAND {_absent(there)}" for table, there in IS_APPLIED.items()}

NOT_BACKFILLED = {table: _absent(there) for table, there in HAS_BACKFILL.items()}

FLUSH_STATE = {table: f"SELECT ({IS_APPLIED[table]}) IS NOT NULL, ({IS_DONE}) IS NOT NULL" for table in Table}
"""Is it there, and is the flush done: two questions, one journey."""
