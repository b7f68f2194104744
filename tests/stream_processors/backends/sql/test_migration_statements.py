"""The exact statements of a migration: for one server, embedded or not, and for a cluster.

No cluster runs here: for it these texts are all that is proven. What they say on one server is run by every other test.
"""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from schemas.errors import Misconfigured
from stream_processors.backends.sql.client import Parameters, Row
from stream_processors.backends.sql.identity import StoreIdentity, check_identity
from stream_processors.backends.sql.migrate import migrate
from stream_processors.backends.sql.topology import SINGLE_SERVER, StoreTopology

GOLDEN = Path(__file__).parent / "golden"
"""After an intended change, run `python -m tests.stream_processors.backends.sql.test_migration_statements`."""

LAYOUTS = {"server": SINGLE_SERVER, "cluster": StoreTopology(cluster="tally")}
IDENTITY = StoreIdentity(partitions=16, hash_name="xxh3-1", log_id="log-1")


class RecordingClient:
    """A SqlClient that records statements, and keeps migrations and identity as a store does."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self._rows: dict[str, list[Row]] = {}

    def command(self, sql: str, parameters: Parameters | None = None) -> None:
        self.statements.append(sql)

    def insert_arrow(self, table: str, rows: pa.Table, token: str) -> None:
        self._rows.setdefault(table, []).extend(tuple(row.values()) for row in rows.to_pylist())

    def query_rows(self, sql: str, parameters: Parameters | None = None) -> Sequence[Row]:
        if sql.startswith("EXISTS TABLE"):
            return [(1,)]
        rows = self._rows.get(sql.rsplit(maxsplit=1)[-1], [])
        return [row[:1] for row in rows] if sql.startswith("SELECT number") else rows

    def query_arrow(self, sql: str, parameters: Parameters | None = None) -> pa.Table:
        raise NotImplementedError


def first_statements(topology: StoreTopology) -> str:
    listener = RecordingClient()
    migrate(listener, "tallyhouse", topology)
    check_identity([listener], "tallyhouse", IDENTITY, topology)
    return "".join(f"{statement};\n\n" for statement in listener.statements)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_migration_sends_the_recorded_statements(name: str) -> None:
    """A change of a table shows here what it means for each kind of store."""
    assert first_statements(LAYOUTS[name]) == (GOLDEN / f"{name}.sql").read_text()


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_second_migration_creates_no_table(name: str) -> None:
    """Applied migrations are skipped; only the distributed tables, which hold no rows, are recreated."""
    listener = RecordingClient()
    for _ in range(2):
        listener.statements.clear()
        migrate(listener, "tallyhouse", LAYOUTS[name])
    made = [statement for statement in listener.statements if statement.startswith("CREATE TABLE")]
    assert len(made) == 1
    assert "tallyhouse.migrations" in made[0]


def test_every_table_of_a_cluster_is_replicated_and_on_all_its_servers() -> None:
    """Without one of these words a table would exist on one server only, or a lost replica would lose rows."""
    listener = RecordingClient()
    migrate(listener, "tallyhouse", LAYOUTS["cluster"])
    check_identity([listener], "tallyhouse", IDENTITY, LAYOUTS["cluster"])
    assert [statement for statement in listener.statements if " ON CLUSTER tally" not in statement] == []
    stored = [statement for statement in listener.statements if "CREATE TABLE" in statement]
    assert len(stored) == 8
    for statement in stored:
        assert "ENGINE = Replicated" in statement
        assert "fsync_after_insert = 1, fsync_part_directory = 1" in statement
        assert "replicated_deduplication_window = 100000" in statement


@pytest.mark.parametrize("name", ["", "a b", "x'; DROP DATABASE tallyhouse; --", "{cluster}"])
def test_a_cluster_name_must_be_an_identifier(name: str) -> None:
    """The name becomes part of statements unquoted."""
    with pytest.raises(Misconfigured, match="letters, digits and underscores"):
        StoreTopology(cluster=name)


if __name__ == "__main__":
    for name, topology in LAYOUTS.items():
        (GOLDEN / f"{name}.sql").write_text(first_statements(topology))
