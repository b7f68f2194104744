"""What a migration sends, word for word: to one server, embedded or not, and to a cluster.

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


class Listener:
    """A SqlClient that writes down what it is told, and remembers migrations and identity as a store does."""

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


def told_at_first(topology: StoreTopology) -> str:
    listener = Listener()
    migrate(listener, "tallyhouse", topology)
    check_identity([listener], "tallyhouse", IDENTITY, topology)
    return "".join(f"{statement};\n\n" for statement in listener.statements)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_migration_says_what_was_agreed(name: str) -> None:
    """Whoever changes a table sees here what that means on each kind of store."""
    assert told_at_first(LAYOUTS[name]) == (GOLDEN / f"{name}.sql").read_text()


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_second_migration_makes_no_table(name: str) -> None:
    """It looks what was applied; what shows all shards as one is made anew, for it holds nothing."""
    listener = Listener()
    for _ in range(2):
        listener.statements.clear()
        migrate(listener, "tallyhouse", LAYOUTS[name])
    made = [statement for statement in listener.statements if statement.startswith("CREATE TABLE")]
    assert len(made) == 1
    assert "tallyhouse.migrations" in made[0]


def test_every_table_of_a_cluster_is_replicated_and_on_all_its_servers() -> None:
    """One forgotten word, and a table would exist on one server, or a replica's death would take rows."""
    listener = Listener()
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
def test_a_clusters_name_is_a_name(name: str) -> None:
    """It stands in statements as it is."""
    with pytest.raises(Misconfigured, match="letters, digits and underscores"):
        StoreTopology(cluster=name)


if __name__ == "__main__":
    for name, topology in LAYOUTS.items():
        (GOLDEN / f"{name}.sql").write_text(told_at_first(topology))
