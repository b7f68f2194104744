"""The port for ClickHouse clients of a running server."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import clickhouse_connect
import httpx
import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from tallyhouse.runtime.write_wall import wall_off
from tests.server_process import KEY, ServerProcess, free_port


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, no_disk: Path, port: int) -> Iterator[ServerProcess]:
    """Its store is on another disk, to which a link in the data directory leads: the worker may write there too."""
    data, store = tmp_path_factory.mktemp("port"), no_disk / f"store_{port}"
    store.mkdir()
    (data / "store").symlink_to(store)
    with ServerProcess(data, clickhouse_port=str(port)) as server:
        yield server


def connect(port: int, password: str = KEY) -> Any:
    return clickhouse_connect.get_client(host="127.0.0.1", port=port, username="analyst", password=password)


def post(server: ServerProcess, count: int) -> None:
    at = datetime.now(UTC).isoformat()
    event = {"event_name": "api.request", "customer_id": "acme", "timestamp": at, "properties": {}}
    events = [event | {"idempotency_key": str(number)} for number in range(count)]
    server.post("/v1/events/ingest", {"events": events})


def test_an_analyst_reads_what_was_counted(server: ServerProcess, port: int) -> None:
    """With ClickHouse's own client, while the worker counts. Writes and file access are refused."""
    server.make_meter("calls")
    post(server, 100)
    server.wait_until_counted()
    client = connect(port)
    statement = "SELECT customer_id, sum(count) FROM usage WHERE meter = {meter:String} AND account != '' GROUP BY 1"
    assert client.query(statement, parameters={"meter": "calls"}).result_rows == [("acme", 100)]
    assert client.query_arrow("SELECT count() AS events FROM events").to_pydict() == {"events": [100]}
    assert "usage" in client.command("SHOW TABLES").split()
    with pytest.raises(DatabaseError, match="READONLY"):
        client.command("TRUNCATE TABLE usage")
    with pytest.raises(DatabaseError, match="ACCESS_DENIED"):
        client.query("SELECT * FROM file('/etc/passwd', 'LineAsString')")
    assert server.total("calls") == 100


def test_only_a_live_admin_key_is_a_password(server: ServerProcess, port: int) -> None:
    """The port opens the rows of every account. A revoked key is refused."""
    made = {
        name: server.post("/v1/keys", {"name": name, "scopes": scopes, "mode": mode}, expect=201)
        for name, scopes, mode in (
            ("reader", ["read"], "live"),
            ("sender", ["ingest"], "live"),
            ("tester", ["admin"], "test"),
            ("second", ["admin"], "live"),
        )
    }
    token = {name: answer["api_key"]["token"] for name, answer in made.items()}
    assert connect(port, token["second"]).ping()
    server.post(f"/v1/keys/{made['second']['api_key']['id']}/revoke", {})
    for refused in (*token.values(), "ak_live_nonsense", ""):
        with pytest.raises(ClickHouseError, match=r"AUTHENTICATION_FAILED|REQUIRED_PASSWORD"):
            connect(port, refused)


def test_the_port_is_on_the_loopback_interface_only(server: ServerProcess, port: int) -> None:
    """The connection is not encrypted."""
    addresses = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in addresses - {"127.0.0.1"}:
        if not str(address).startswith("127."):
            with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
                socket.create_connection((str(address), port), timeout=2)
    assert httpx.get(f"http://127.0.0.1:{port}/ping").text == "Ok.\n"


def test_a_taken_port_is_reported_before_anything_is_opened(server: ServerProcess, port: int, tmp_path: Path) -> None:
    """The error names the setting to change."""
    other = ServerProcess(tmp_path / "data", clickhouse_port=str(port))
    with pytest.raises(AssertionError, match="TALLYHOUSE_CLICKHOUSE_PORT"):
        other.start()
    assert not (tmp_path / "data").exists()
    other.client.close()


WALLED_ENGINE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from stream_processors.backends.sql.chdb_statements import ChdbStatements, EngineStatement
from stream_processors.backends.sql.engine_settings import EngineLimits
from tallyhouse.runtime.write_wall import wall_off

store, out = Path(sys.argv[1]), sys.argv[2]
store.mkdir()
with ChdbStatements(store, EngineLimits()) as engine:
    with ThreadPoolExecutor(1, initializer=wall_off, initargs=([store],)) as walled:
        for statement in (
            "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a",
            "INSERT INTO t SELECT number FROM numbers(100000)",
            "INSERT INTO t SELECT number FROM numbers(100000)",
            f"SELECT 1 INTO OUTFILE '{out}'",
            f"EXPLAIN AST SELECT 1 FORMAT CSV INTO OUTFILE '{out}'",
            f"INSERT INTO FUNCTION file('{out}', 'CSV') SELECT 1",
            "OPTIMIZE TABLE t FINAL",
            "SELECT count() FROM t",
            "ALTER TABLE t DETACH PARTITION ID 'all'",
            "DROP TABLE t SYNC",
        ):
            error = walled.submit(engine.run, EngineStatement(text=statement)).exception()
            print("refused" if error and "Permission denied" in str(error) else error or "done")
"""


def test_no_statement_writes_a_file_behind_the_wall(tmp_path: Path) -> None:
    """In a thread as the port's, statements that nobody checks: the store works, and the kernel refuses the rest."""
    command = [sys.executable, "-c", WALLED_ENGINE, str(tmp_path / "store"), str(tmp_path / "out")]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert [*lines[:3], *lines[6:]] == ["done"] * 7
    assert (lines[3:6] == ["refused"] * 3) == has_landlock()
    assert (tmp_path / "out").exists() != has_landlock()


def test_the_worker_is_behind_the_wall(server: ServerProcess) -> None:
    """A wall takes the right to gain privileges from every thread; it counts as before, as the other tests show."""
    behind = int(has_landlock())
    for task in Path(f"/proc/{server.worker}/task").iterdir():
        assert f"NoNewPrivs:\t{behind}\n" in (task / "status").read_text()
    assert ("this system has no Landlock" in server.output()) == (not behind)


def has_landlock() -> bool:
    """Tells by a thread that is given up to the wall."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(wall_off, [Path("/")]).result()
