"""Migrates a usage store to the current tables, and checks that it is migrated."""

from collections.abc import Sequence
from importlib.resources import files
from string import Template
from typing import NamedTuple

import pyarrow as pa

from schemas.errors import Conflict
from stream_processors.backends.sql.client import SqlClient
from stream_processors.backends.sql.topology import SINGLE_SERVER, StoreTopology

_DATABASE = Template("CREATE DATABASE IF NOT EXISTS $database$on_cluster")

_MIGRATIONS = Template("""\
CREATE TABLE IF NOT EXISTS $database.migrations$on_cluster (number UInt32, name String)
ENGINE = ${replicated}MergeTree$replica ORDER BY number
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, $token_window""")


class Migration(NamedTuple):
    number: int
    name: str
    sql: Template


def migrate(client: SqlClient, database: str, topology: StoreTopology = SINGLE_SERVER) -> None:
    """Applies the missing migrations in order. An interrupted migration is applied again: each one is idempotent."""
    client.command(topology.render(_DATABASE, database))
    client.command(topology.render_for_all(_MIGRATIONS, database))
    applied = {number for (number,) in client.query_rows(f"SELECT number FROM {database}.migrations")}
    for migration in migrations():
        if migration.number not in applied:
            for statement in statements(topology.render(migration.sql, database)):
                client.command(statement)
            row = pa.table({"number": pa.array([migration.number], pa.uint32()), "name": [migration.name]})
            client.insert_arrow(f"{database}.migrations", row, f"migration/{migration.number}")
    for statement in topology.distributed_statements(database):
        client.command(statement)


def require_migrated(shards: Sequence[SqlClient], database: str) -> None:
    """Raises Conflict if a migration is missing. For a process that shares the store and does not migrate it."""
    for client in shards:
        applied: set[int] = set()
        ((exists,),) = client.query_rows(f"EXISTS TABLE {database}.migrations")
        if exists:
            applied = {number for (number,) in client.query_rows(f"SELECT number FROM {database}.migrations")}
        if missing := [migration.name for migration in migrations() if migration.number not in applied]:
            raise Conflict(f"the usage store {database!r} lacks {', '.join(missing)}: run `tallyhouse migrate` first")


def migrations() -> list[Migration]:
    """The numbered files, in order: `0001_tables.sql`."""
    found = sorted(
        (entry for entry in (files("schemas") / "sql" / "usage").iterdir() if entry.name.endswith(".sql")),
        key=lambda entry: entry.name,
    )
    return [Migration(int(entry.name[:4]), entry.name, Template(entry.read_text())) for entry in found]


def statements(script: str) -> list[str]:
    """The statements of a script, without its comment lines. A semicolon at the end of a line ends a statement."""
    code = "\n".join(line for line in script.splitlines() if not line.startswith("--"))
    return [statement for part in code.split(";\n") if (statement := part.strip().removesuffix(";"))]
