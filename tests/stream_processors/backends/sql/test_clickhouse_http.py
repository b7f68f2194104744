"""The client over HTTP: errors, time limits, values, one block for each insert, a server that restarts."""

from string import ascii_lowercase

import pyarrow as pa
import pytest

from schemas.errors import StoreFailed
from schemas.flush import Table
from stream_processors.backends.sql.clickhouse_http import ClickHousePool, ServerAddress
from stream_processors.backends.sql.engine_settings import EngineLimits
from tests.backing_services.store_process import StoreProcess
from tests.conftest import HttpDatabases
from tests.contracts.stores import rows_of


def test_an_error_has_the_stores_own_code(http_databases: HttpDatabases) -> None:
    """The code can be looked up; the step may be retried."""
    database = http_databases()
    with pytest.raises(StoreFailed, match=r"(?s)Code: 60\b.*no_such_table"):
        database.query_rows("SELECT 1 FROM no_such_table")
    with pytest.raises(StoreFailed, match=r"(?s)Code: 60\b.*no_such_table"):
        database.insert_where("no_such_table", rows_of(Table.SEEN, ["a"]), "1", {}, "a token")
    assert database.query_rows("SELECT 1") == [(1,)]


def test_values_are_bound_not_pasted(http_databases: HttpDatabases) -> None:
    """Any name of a customer is stored as it is."""
    odd = "it's \\ {p:String} \n 日本 %s"
    parameters = {"name": odd, "list": [odd]}
    assert http_databases().query_rows("SELECT {name:String}, {list:Array(String)}", parameters) == [(odd, [odd])]
    database = http_databases()
    for name, expected in (("another", 1), (odd, 1)):
        guard = "{name:String} != {odd:String}"
        database.insert_where("seen", rows_of(Table.SEEN, ["a"]), guard, {"name": name, "odd": odd}, name)
        assert database.query_rows("SELECT count() FROM seen") == [(expected,)]


def test_a_statement_that_takes_too_long_fails(server: ClickHousePool) -> None:
    """The server ends it at its time limit and reports it, so that nothing runs on unnoticed."""
    with ClickHousePool(server.address, 1, EngineLimits(statement_seconds=1)) as hurried:
        database = hurried.database("default")
        with pytest.raises(StoreFailed, match=r"Code: 159\b"):
            database.query_rows("SELECT count() FROM numbers(1e13) WHERE NOT ignore(sipHash64(number))")


def test_calls_fail_while_the_server_is_down_and_succeed_afterwards(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The same client works again when the server is back."""
    with (
        StoreProcess(tmp_path_factory.mktemp("store")) as process,
        ClickHousePool(process.address, 1, EngineLimits()) as server,
    ):
        database = server.database("default")
        process.kill()
        for _ in range(2):
            with pytest.raises(StoreFailed):
                database.query_rows("SELECT 1")
            with pytest.raises(StoreFailed):
                database.insert_where("seen", rows_of(Table.SEEN, ["a"]), "1", {}, "a token")
        with pytest.raises(StoreFailed):
            server.database("default")
        process.start()
        assert database.query_rows("SELECT 1") == [(1,)]


def test_queued_inserts_are_off(http_databases: HttpDatabases) -> None:
    """Queued inserts would be acknowledged together and split into other blocks."""
    settings = "SELECT value FROM system.settings WHERE name IN ('async_insert', 'deduplicate_insert') ORDER BY name"
    assert list(http_databases().query_rows(settings)) == [("0",), ("enable",)]


@pytest.mark.parametrize("table", list(Table))
def test_one_insert_is_one_part(http_databases: HttpDatabases, table: Table) -> None:
    """Any number of rows and record batches, with or without a guard, is one block with one token."""
    database = http_databases()
    database.command(f"SYSTEM STOP MERGES {table.value}")
    names = [first + second for first in ascii_lowercase for second in ascii_lowercase]
    pieces = [rows_of(table, names[start : start + 100]) for start in range(0, len(names), 100)]
    rows = pa.concat_tables(pieces * 300)
    for _ in range(2):
        database.insert_where(table.value, rows, "1", {}, "the token")
    database.insert_arrow(table.value, pieces[0], "the token")
    database.insert_where(table.value, pieces[0], "0", {}, "another token")
    parts = database.query_rows(
        f"SELECT count() FROM system.parts WHERE active AND database = currentDatabase() AND table = '{table.value}'"
    )
    assert list(parts) == [(1,)]


def test_an_address_does_not_show_its_password() -> None:
    """Addresses appear in logs and errors."""
    address = ServerAddress(host="store.example", user="tallyhouse", password="hush", encrypted=True)
    assert repr(address) == str(address) == "https://tallyhouse@store.example:8123"
