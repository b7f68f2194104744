"""The read-only port allows reads and nothing more."""

import asyncio
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from stream_processors.backends.sql.chdb import Chdb
from stream_processors.backends.sql.chdb_statements import ChdbStatements, EngineStatement
from stream_processors.backends.sql.engine_settings import EngineLimits
from stream_processors.clickhouse_server.app import ServerContext, create_app
from stream_processors.clickhouse_server.authentication import password_check
from stream_processors.clickhouse_server.bodies import BodyLimits
from stream_processors.clickhouse_server.function_catalogue import read_catalogue
from stream_processors.clickhouse_server.readonly_access import ReadOnlyAccess
from tests.stream_processors.clickhouse_server.forbidden_statements import (
    ALLOWED,
    FILES,
    LIMITS,
    NETWORK,
    SECRETS,
    WRITES,
    ForbiddenStatement,
)

DATABASE = "readonly_port"
TABLE = f"CREATE TABLE {DATABASE}.t (a UInt32, s String) ENGINE = MergeTree ORDER BY a"
KEY = {"X-ClickHouse-Key": "right"}


@pytest.fixture(scope="module")
def engine(chdb: Chdb) -> Iterator[ChdbStatements]:
    with ChdbStatements(chdb._path, EngineLimits(query_memory=200_000_000)) as engine:
        engine.run(EngineStatement(text=f"CREATE DATABASE IF NOT EXISTS {DATABASE}"))
        engine.run(
            EngineStatement(text=f"DROP TABLE IF EXISTS {DATABASE}.t SYNC")
        )  # left by an earlier run of the fixture
        engine.run(EngineStatement(text=TABLE))
        engine.run(EngineStatement(text=f"INSERT INTO {DATABASE}.t VALUES (1, 'x')"))
        yield engine


@pytest.fixture(scope="module")
def served(engine: ChdbStatements, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerContext]:
    with ThreadPoolExecutor(2) as threads:
        yield ServerContext(
            access=ReadOnlyAccess(engine, read_catalogue(engine)),
            check_caller=password_check("right"),
            database=DATABASE,
            threads=threads,
            spool=tmp_path_factory.mktemp("spool"),
            limits=BodyLimits(memory=1 << 20, stored=1 << 20, decoded=1 << 20),
            version="26.9",
            timezone="UTC",
            name="test",
        )


def send(served: ServerContext, statement: str, headers: dict[str, str] = KEY, **params: str) -> httpx.Response:
    async def post() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(served))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.post("/", content=statement, params=params, headers=headers)

    return asyncio.run(post())


@pytest.fixture
def places(tmp_path: Path) -> Iterator[tuple[dict[str, str], socket.socket]]:
    """A secret file, a path to write to, and a port on which every connection is noticed."""
    (tmp_path / "secret").write_text("topsecret\n")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        yield (
            {
                "secret": str(tmp_path / "secret"),
                "out": str(tmp_path / "out"),
                "port": str(listener.getsockname()[1]),
                "long": "x" * (256 << 10),
            },
            listener,
        )


@pytest.mark.parametrize("attempt", [*WRITES, *FILES, *NETWORK, *SECRETS, *LIMITS], ids=lambda attempt: attempt[0][:60])
def test_an_attempt_is_refused(
    served: ServerContext, attempt: ForbiddenStatement, places: tuple[dict[str, str], socket.socket], tmp_path: Path
) -> None:
    """The answer has this code and message; no file is written, no secret read, and no connection opened."""
    statement, code, words = attempt
    where, listener = places
    answer = send(served, statement.format(**where), param_database="system", param_table="users")
    assert (answer.headers.get("X-ClickHouse-Exception-Code"), answer.text) == (str(code), answer.text)
    assert words in answer.text
    assert "topsecret" not in answer.text
    assert answer.status_code >= 400
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert send(served, "SELECT a, s FROM t").text == "1\tx\n"


@pytest.mark.parametrize("statement", ALLOWED)
def test_reading_is_allowed(served: ServerContext, statement: str) -> None:
    """Analysts and their tools send such statements."""
    answer = send(served, statement.format())
    assert answer.status_code == 200, answer.text
    assert "X-ClickHouse-Format" in answer.headers


def test_a_table_function_of_every_other_name_is_refused(served: ServerContext, engine: ChdbStatements) -> None:
    """The policy lists the allowed functions, so any other function of the engine is refused."""
    names = engine.run(EngineStatement(text="SELECT name FROM system.table_functions")).body.decode().split()
    refused = {name for name in names if f"table function {name}." in send(served, f"SELECT * FROM {name}()").text}
    pure = {
        "numbers",
        "numbers_mt",
        "zeros",
        "zeros_mt",
        "generateSeries",
        "generate_series",
        "values",
        "null",
        "primes",
    }
    of_a_statement = {"view", "viewIfPermitted"}  # these do not parse without a subquery
    assert set(names) - refused == pure | {"SQLStandardValues"} | of_a_statement


def test_only_settings_of_the_result_may_be_set(served: ServerContext) -> None:
    """Limits may be lowered but not raised; no setting may name a file."""
    assert send(
        served, "SELECT toUInt64(1) AS a FORMAT JSONEachRow", output_format_json_quote_64bit_integers="1"
    ).text == ('{"a":"1"}\n')
    assert send(served, "SELECT getSetting('max_execution_time') <= 5", max_execution_time="5").text in (
        "true\n",
        "1\n",
    )
    assert send(served, "SELECT 1", enable_http_compression="1", readonly="2").status_code == 200
    for name, value in {
        "max_execution_time": "0",
        "max_memory_usage": "0",
        "max_result_rows": "0",
        "output_format_schema": "/x",
        "format_schema": "/x",
        "format_template_row": "/x",
        "allow_introspection_functions": "1",
        "max_threads": "64",
        "log_comment": "x",
        "a'b": "1",
    }.items():
        assert send(served, "SELECT 1", KEY, **{name: value}).headers["X-ClickHouse-Exception-Code"] == "164", name


def test_engine_databases_cannot_be_the_default_database(served: ServerContext) -> None:
    """Otherwise their tables could be named without the database."""
    for name in ("system", "INFORMATION_SCHEMA"):
        assert send(served, "SELECT * FROM users", database=name).headers["X-ClickHouse-Exception-Code"] == "497"


def test_every_request_needs_the_password(served: ServerContext) -> None:
    """The password is sent in a header, by basic authentication, or in the URL."""
    assert send(served, "SELECT 1", {}).status_code == 401
    assert send(served, "SELECT 1", {"X-ClickHouse-Key": "wrong"}).status_code == 403
    assert send(served, "SELECT 1", {"Authorization": "Basic eDp3cm9uZw=="}).status_code == 403
    assert send(served, "SELECT 1", {"Authorization": "Basic !"}).status_code == 400
    assert send(served, "SELECT 1", {"Authorization": "Basic eDpyaWdodA=="}).status_code == 200
    assert send(served, "SELECT 1", {"Authorization": "Bearer right"}).status_code == 200
    assert send(served, "SELECT 1", {}, user="x", password="right").status_code == 200


def test_a_host_name_that_only_a_page_would_use_is_refused(served: ServerContext) -> None:
    """A page in a browser can make its own host name resolve to this machine."""
    assert send(served, "SELECT 1", {**KEY, "Host": "evil.example:8123"}).status_code == 400
