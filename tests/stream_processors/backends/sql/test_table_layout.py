"""The store's tables match the Arrow layouts, and store rows as the flush protocol requires."""

from string import ascii_lowercase

import pyarrow as pa
import pytest

from schemas.flush import Table
from schemas.tables import HASH, LATEST, LAYOUTS, MICROS, QUANTITY
from stream_processors.backends.sql.engine import FLUSHES
from tests.conftest import Databases
from tests.contracts.stores import rows_of

ENGINE_TYPES = {
    pa.uint8(): "UInt8",
    pa.uint16(): "UInt16",
    pa.uint32(): "UInt32",
    pa.uint64(): "UInt64",
    pa.int64(): "Int64",
    pa.string(): "String",
    MICROS: "DateTime64(6, 'UTC')",
    HASH: "FixedString(16)",
    QUANTITY: "Decimal(38, 12)",
    pa.list_(HASH): "Array(FixedString(16))",
}

AGGREGATES = {
    "sum": "sum",
    "count": "sum",
    "min": "min",
    "max": "max",
    "latest": "max",
    "uniques": "groupUniqArrayArray",
}


def engine_type(table: Table, field: pa.Field) -> str:
    """The column's type in the store, apart from its encoding."""
    if field.type == LATEST:
        inner = ", ".join(f"{part.name} {ENGINE_TYPES[part.type]}" for part in LATEST)
        return f"SimpleAggregateFunction(max, Tuple({inner}))"
    plain = ENGINE_TYPES[field.type]
    if table is not Table.USAGE:
        return plain
    if field.name == "minute":
        return "DateTime('UTC')"
    if field.name in ("min", "max"):
        plain = f"Nullable({plain})"
    aggregate = AGGREGATES.get(field.name)
    return f"SimpleAggregateFunction({aggregate}, {plain})" if aggregate else plain


@pytest.mark.parametrize("table", list(Table))
def test_the_columns_are_those_of_the_layout(databases: Databases, table: Table) -> None:
    """Names, order and types match: rows are stored as a flush writes them."""
    described = databases().query_rows(f"DESCRIBE TABLE {table.value}")
    stored = [(name, kind.replace("LowCardinality(String)", "String")) for name, kind, *_ in described]
    assert stored == [(field.name, engine_type(table, field)) for field in LAYOUTS[table]]


def test_claims_have_the_columns_they_are_written_with(databases: Databases) -> None:
    """The table of flushes has no layout in `schemas`."""
    described = databases().query_rows("DESCRIBE TABLE flushes")
    assert [name for name, *_ in described] == FLUSHES.names


def test_every_table_is_fsynced_before_an_insert_is_answered(databases: Databases) -> None:
    """Without the fsyncs a power cut could keep a flush's `done` and lose its usage."""
    database = databases()
    statements = database.query_rows(
        "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"
    )
    assert {name for name, _ in statements} >= {*map(str, Table), "flushes"}
    for name, statement in statements:
        assert "fsync_after_insert = 1, fsync_part_directory = 1" in statement, name
        if name != "migrations":
            assert "non_replicated_deduplication_window" in statement, name


def test_only_the_table_of_flushes_is_unpartitioned(databases: Databases) -> None:
    """Tokens are kept per table partition: with two months in `flushes`, one flush could get two claims."""
    tables = databases().query_rows("SELECT name, partition_key FROM system.tables WHERE database = currentDatabase()")
    keys = {str(name): key for name, key in tables}
    assert keys["flushes"] == ""
    assert {keys[table.value] for table in Table} == {"month"}


@pytest.mark.parametrize("table", list(Table))
def test_one_insert_is_one_part(databases: Databases, table: Table) -> None:
    """Any number of rows and record batches becomes visible at once, under one token."""
    database = databases()
    database.command(f"SYSTEM STOP MERGES {table.value}")
    names = [
        first + second + third for first in ascii_lowercase for second in ascii_lowercase for third in "0123456789"
    ]
    pieces = [rows_of(table, names[start : start + 1000]) for start in range(0, len(names), 1000)]
    rows = pa.concat_tables(pieces * 30)
    for _ in range(2):
        database.insert_arrow(table.value, rows, "the token")
    database.insert_arrow(table.value, pieces[0], "the token")
    parts = database.query_rows(
        f"SELECT count() FROM system.parts WHERE active AND database = currentDatabase() AND table = '{table.value}'"
    )
    assert list(parts) == [(1,)]
