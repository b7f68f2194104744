"""Brings a usage store to the present layout, and makes sure that it is the one this log belongs to."""

from collections.abc import Sequence
from importlib.resources import files
from string import Template
from typing import NamedTuple

import msgspec
import pyarrow as pa

from schemas.errors import Conflict, IdentityChanged
from stream_processors.backends.sql.client import SqlClient
from stream_processors.backends.sql.layout import ON_ONE_SERVER, Layout

_DATABASE = Template("CREATE DATABASE IF NOT EXISTS $database$on_cluster")

_MIGRATIONS = Template("""\
CREATE TABLE IF NOT EXISTS $database.migrations$on_cluster (number UInt32, name String)
ENGINE = ${replicated}MergeTree$replica ORDER BY number
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, $token_window""")

_IDENTITY = Template("""\
CREATE TABLE IF NOT EXISTS $database.identity$on_cluster (partitions UInt32, hash_name String, log_id String)
ENGINE = ${replicated}MergeTree$replica ORDER BY tuple()
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, $token_window""")


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What must never change under a store: every key's partition and every known key depend on it."""

    partitions: int
    hash_name: str
    log_id: str


class Migration(NamedTuple):
    number: int
    name: str
    sql: Template


_REMEDY = {
    "partitions": "Set TALLYHOUSE_PARTITIONS back; the number of partitions is fixed for the life of the data.",
    "hash_name": "Use the version of Tallyhouse that wrote this data.",
    "log_id": "Point the log and the usage store at directories that belong together; "
    "if the log was lost, restore it from a backup.",
}


def migrate(client: SqlClient, database: str, layout: Layout = ON_ONE_SERVER) -> None:
    """Apply, in order, what has not been applied. A migration cut short is applied again: each can be."""
    client.command(layout.worded(_DATABASE, database))
    client.command(layout.worded_for_all(_MIGRATIONS, database))
    applied = {number for (number,) in client.query_rows(f"SELECT number FROM {database}.migrations")}
    for migration in migrations():
        if migration.number not in applied:
            for statement in statements(layout.worded(migration.sql, database)):
                client.command(statement)
            row = pa.table({"number": pa.array([migration.number], pa.uint32()), "name": [migration.name]})
            client.insert_arrow(f"{database}.migrations", row, f"migration/{migration.number}")
    for statement in layout.reading_statements(database):
        client.command(statement)


def check_identity(client: SqlClient, database: str, identity: Identity, layout: Layout = ON_ONE_SERVER) -> None:
    """Remember the identity at the first start; refuse another one ever after."""
    client.command(layout.worded_for_all(_IDENTITY, database))
    table = f"{database}.identity"
    if not (stored := _stored(client, table)):
        client.insert_arrow(table, pa.Table.from_pylist([msgspec.to_builtins(identity)]), "identity")
        stored = _stored(client, table)
    _refuse_another(database, stored, identity)


def require_migrated(client: SqlClient, database: str, identity: Identity) -> None:
    """For a process that shares the store, and so leaves its tables as they are."""
    known = (f"EXISTS TABLE {database}.{table}" for table in ("migrations", "identity"))
    applied: set[int] = set()
    if all(client.query_rows(question)[0][0] for question in known):
        applied = {number for (number,) in client.query_rows(f"SELECT number FROM {database}.migrations")}
    if missing := [migration.name for migration in migrations() if migration.number not in applied]:
        raise Conflict(f"the usage store {database!r} lacks {', '.join(missing)}: run `tallyhouse migrate` first")
    _refuse_another(database, _stored(client, f"{database}.identity"), identity)


def _refuse_another(database: str, stored: Sequence[Identity], identity: Identity) -> None:
    differences = [
        f"{field} is {now!r}, but this data was made with {then!r}. {_REMEDY[field]}"
        for then_identity in stored
        for field, now in msgspec.to_builtins(identity).items()
        if now != (then := getattr(then_identity, field))
    ]
    if differences:
        raise IdentityChanged(f"the usage store {database!r} belongs to another log: " + " ".join(differences))


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


def _stored(client: SqlClient, table: str) -> list[Identity]:
    rows = client.query_rows(f"SELECT partitions, hash_name, log_id FROM {table}")
    return [Identity(partitions=partitions, hash_name=name, log_id=log) for partitions, name, log in rows]
