"""A statement over its limits is distinguished from a store that does not answer: repeating it would not help."""

from collections.abc import Callable

import pytest

from schemas.errors import StatementTooLarge, StoreFailed
from stream_processors.backends.sql.client import SqlClient
from tests.conftest import Databases, HttpDatabases

TOO_LARGE = "SELECT groupArray(toString(number)) FROM numbers(10000000) SETTINGS max_memory_usage = 20000000"
TOO_SLOW = "SELECT sleepEachRow(0.01) FROM numbers(1000) SETTINGS max_execution_time = 1, max_block_size = 1"


@pytest.fixture(params=["in_this_process", "over_http"])
def client(request: pytest.FixtureRequest) -> SqlClient:
    databases: Databases | HttpDatabases = request.getfixturevalue(
        "databases" if request.param == "in_this_process" else "http_databases"
    )
    make: Callable[[], SqlClient] = databases
    return make()


@pytest.mark.parametrize("statement", [TOO_LARGE, TOO_SLOW])
def test_a_limit_of_memory_or_time_is_one_of_the_statement(client: SqlClient, statement: str) -> None:
    with pytest.raises(StatementTooLarge):
        client.query_rows(statement)


def test_any_other_error_is_one_of_the_store(client: SqlClient) -> None:
    with pytest.raises(StoreFailed) as raised:
        client.query_rows("SELECT * FROM nowhere")
    assert not isinstance(raised.value, StatementTooLarge)
