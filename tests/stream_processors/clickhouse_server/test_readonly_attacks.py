"""Statements made to write files, connect, start programs or change settings through the read-only port: none does."""

import itertools
import os
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

pytestmark = pytest.mark.anyio

REFUSALS = {"62", "164", "497"}

READS = (
    "SELECT 1",
    "SELECT a, s FROM {db}.t WHERE a > 0",
    "WITH 1 AS x SELECT x",
    "FROM {db}.t SELECT a",
    "(SELECT 1)",
    "SELECT 1 UNION ALL SELECT 2",
    "SELECT * FROM (SELECT 1)",
    "SHOW TABLES FROM {db}",
    "SHOW CREATE TABLE {db}.t",
    "DESCRIBE TABLE {db}.t",
    "EXISTS TABLE {db}.t",
    "EXPLAIN SELECT 1",
    "EXPLAIN AST SELECT 1",
)
OUTPUTS = (
    "INTO OUTFILE '{out}'",
    "FORMAT CSV INTO OUTFILE '{out}'",
    "INTO OUTFILE '{out}' TRUNCATE FORMAT CSV",
    "FORMAT CSV INTO OUTFILE '{out}' APPEND",
    "FORMAT CSV INTO OUTFILE '{out}' COMPRESSION 'gzip'",
    "INTO OUTFILE '{out}' AND STDOUT",
    "SETTINGS max_threads = 1 INTO OUTFILE '{out}'",
    "FORMAT CSV SETTINGS max_threads = 1 INTO OUTFILE '{out}'",
    "FORMAT CSV INTO OUTFILE $${out}$$",
    ") INTO OUTFILE '{out}'",
    "; SELECT 1 INTO OUTFILE '{out}'",
)
SPACES = (" ", "\n", "/*'*/", " -- '\n", "\u00a0")

FORGED = (
    "a)\n  Explain EXPLAIN (alias b",
    "a)\n    Explain EXPLAIN (alias b",
    "a)\n      Explain EXPLAIN (alias b",
    "a)\nExplain EXPLAIN\n (alias b",
    "a\nTableExpression",
)
NAMES = (
    "SELECT 1 AS `{name}` SETTINGS max_memory_usage = 0",
    "SELECT * FROM (SELECT 1 AS `{name}` SETTINGS max_memory_usage = 0)",
    "WITH 1 AS `{name}` SELECT 2 SETTINGS readonly = 0",
    "SELECT a AS \"{name}\", file('{secret}') FROM {db}.t",
    "SELECT `{name}` FROM {db}.t SETTINGS readonly = 0",
    "SELECT 1 FROM {db}.t AS `{name}` SETTINGS readonly = 0",
    "SELECT 1 FORMAT `{name}` SETTINGS readonly = 0",
)

CALLS = (
    "file('{secret}', 'CSV', 'a String')",
    "url('http://127.0.0.1:{port}/', 'CSV', 'a String')",
    "s3('http://127.0.0.1:{port}/b', 'CSV', 'a String')",
    "remote('127.0.0.1:{port}', system.one)",
    "executable('touch {out}', 'CSV', 'a String')",
    "sqlite('{secret}', 't')",
    "mysql('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
    "python('os')",
    "merge('system', 'users')",
    "clusterAllReplicas('default', system.one)",
)
POSITIONS = (
    "SELECT * FROM {call}",
    "SELECT 1 WHERE 1 IN (SELECT * FROM {call})",
    "SELECT * FROM {db}.t JOIN {call} AS u ON 1",
    "WITH x AS (SELECT * FROM {call}) SELECT * FROM x",
    "DESCRIBE TABLE {call}",
    "SELECT 1 UNION ALL SELECT * FROM {call}",
    "EXPLAIN SELECT * FROM {call}",
    "SELECT {call}",
    "SELECT 1 ORDER BY {call}",
)


def attacks() -> Iterator[str]:
    """Each place is `{out}`, `{secret}`, `{port}` or `{db}`."""
    for number, (read, output) in enumerate(itertools.product(READS, OUTPUTS)):
        for space in (" ", SPACES[1 + number % (len(SPACES) - 1)]):
            yield f"{read} {output}".replace(" ", space) if space != " " else f"{read} {output}"
        yield f"{read} {output}".lower().replace("csv", "CSV")
    for statement, name in itertools.product(NAMES, FORGED):
        yield statement.replace("{name}", name)
    for position, call in itertools.product(POSITIONS, CALLS):
        yield position.replace("{call}", call)


@pytest.fixture(scope="module")
def engine(chdb: Chdb) -> Iterator[ChdbStatements]:
    with ChdbStatements(chdb._path, EngineLimits(query_memory=200_000_000)) as engine:
        engine.run(EngineStatement(text="CREATE DATABASE IF NOT EXISTS attacked"))
        table = "CREATE TABLE IF NOT EXISTS attacked.t (a UInt32, s String) ENGINE = MergeTree ORDER BY a"
        engine.run(EngineStatement(text=table))
        yield engine


@pytest.mark.parametrize("step", [11, pytest.param(1, marks=pytest.mark.long)])
async def test_no_generated_attack_leaves_the_engine(engine: ChdbStatements, tmp_path: Path, step: int) -> None:
    """Each is refused; afterwards there is no file, connection, process or setting that was not there before."""
    (tmp_path / "secret").write_text("topsecret\n")
    statements = list(attacks())[::step]
    assert len(statements) > 500 / step
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(2) as threads:
        listener.setblocking(False)
        places = {
            "out": f"{tmp_path}/out",
            "secret": f"{tmp_path}/secret",
            "port": str(listener.getsockname()[1]),
            "db": "attacked",
        }
        before = _traces(engine, tmp_path)
        transport = httpx.ASGITransport(create_app(_served(engine, threads, tmp_path)))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            for template in statements:
                statement = template
                for place, value in places.items():
                    statement = statement.replace(f"{{{place}}}", value)
                response = await client.post("/", content=statement, headers={"X-ClickHouse-Key": "right"})
                code = response.headers.get("X-ClickHouse-Exception-Code")
                assert code in REFUSALS, (statement, code, response.text[:200])
                assert "topsecret" not in response.text
                assert _traces(engine, tmp_path) == before, statement
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("value", ["a\n  Explain EXPLAIN", "a\\n  Explain EXPLAIN"])
async def test_a_parameter_forges_no_line(engine: ChdbStatements, tmp_path: Path, value: str) -> None:
    """A name that is sent as a parameter is in the outline as it is in the statement."""
    with ThreadPoolExecutor(1) as threads:
        transport = httpx.ASGITransport(create_app(_served(engine, threads, tmp_path)))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            statement = "SELECT {name:Identifier} FROM attacked.t"
            response = await client.post(
                "/", params={"param_name": value}, content=statement, headers={"X-ClickHouse-Key": "right"}
            )
    assert response.headers["X-ClickHouse-Exception-Code"] == "497"
    assert "a line break in the name name" in response.text


def _served(engine: ChdbStatements, threads: ThreadPoolExecutor, spool: Path) -> ServerContext:
    return ServerContext(
        access=ReadOnlyAccess(engine, read_catalogue(engine)),
        check_caller=password_check("right"),
        database="attacked",
        threads=threads,
        spool=spool,
        limits=BodyLimits(memory=1 << 20, stored=1 << 20, decoded=1 << 20),
        version="26.9",
        timezone="UTC",
        name="test",
    )


def _traces(engine: ChdbStatements, folder: Path) -> tuple[object, ...]:
    """What an attack would leave: files, in the folder and the working directory, children, changed settings."""
    changed = engine.run(EngineStatement(text="SELECT name, value FROM system.settings WHERE changed ORDER BY name"))
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    return (
        sorted(folder.iterdir()),
        sorted(Path().iterdir()),
        children.read_text() if children.exists() else "",
        changed.body,
    )
