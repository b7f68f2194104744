"""Migrating a store to the current tables."""

import itertools

from stream_processors.backends.sql.chdb import Chdb
from stream_processors.backends.sql.migrate import migrate, migrations, statements

names = (f"migrated_{number}" for number in itertools.count())


def test_migrations_are_numbered_from_one_without_gaps() -> None:
    """Each file is applied once, in the order of the numbers."""
    assert [migration.number for migration in migrations()] == list(range(1, len(migrations()) + 1))


def test_migrating_twice_changes_nothing(chdb: Chdb) -> None:
    """Every start migrates."""
    client, name = chdb.database("default"), next(names)
    applied = []
    for _ in range(2):
        migrate(client, name)
        applied.append(client.query_rows(f"SELECT number, name FROM {name}.migrations ORDER BY number"))
    assert applied[0] == applied[1] == [(migration.number, migration.name) for migration in migrations()]


def test_an_interrupted_migration_is_completed(chdb: Chdb) -> None:
    """After a kill between two statements, or before the migration is recorded, the next start applies it again."""
    client, name = chdb.database("default"), next(names)
    migrate(client, name)
    client.command(f"DROP TABLE {name}.seen SYNC")
    client.command(f"TRUNCATE TABLE {name}.migrations")
    migrate(client, name)
    assert client.query_rows(f"SELECT count() FROM {name}.seen") == [(0,)]


def test_a_script_is_split_at_semicolons_and_loses_its_comments() -> None:
    """Comments may hold semicolons."""
    assert statements("-- first; second\nSELECT 1;\n\n-- last\nSELECT\n2;\n") == ["SELECT 1", "SELECT\n2"]
