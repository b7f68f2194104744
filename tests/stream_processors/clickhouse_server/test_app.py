"""Requests over plain HTTP: their forms, headers, statuses, and clients that disconnect."""

import gzip
import json
import socket
import time
from collections.abc import Callable

import httpx
import lz4.frame
import pytest
import zstandard

from stream_processors.backends.sql.chdb_statements import StatementFailed
from stream_processors.clickhouse_server.deadline import Deadline
from tests.stream_processors.clickhouse_server.process import ServerProcess


def wait_until(condition: Callable[[], bool], timeout: float = 180.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_statement_is_in_the_url_or_the_body_or_both(http: httpx.Client) -> None:
    """In both, the body continues the text of the URL."""
    assert http.get("", params={"query": "SELECT 1"}).text == "1\n"
    assert http.post("", params={"query": "SELECT 1"}).text == "1\n"
    assert http.post("", content="SELECT 1").text == "1\n"
    assert http.post("", params={"query": "SELECT 1 +"}, content="2").text == "3\n"
    assert http.post("", content="SELECT 1;").text == "1\n"
    assert http.post("", data={"SELECT 1": ""}).status_code == 400  # a form is a body like any other: `SELECT+1=`


def test_parameters_are_in_the_url_or_in_a_form(http: httpx.Client) -> None:
    """Values are escaped as in TabSeparated, and never become part of the text."""
    statement = "SELECT {a:String}, {b:Array(String)}"
    values = {"param_a": "tab\\t'", "param_b": "['x\\'','y']"}
    expected = "tab\\t\\'\t['x\\'','y']\n"
    assert http.post("", params=values, content=statement).text == expected
    form = {name: (None, value) for name, value in {"query": statement, **values}.items()}
    assert http.post("", files=form).text == expected
    assert http.post("", content="SELECT {missing:String}").headers["X-ClickHouse-Exception-Code"] == "456"


def test_the_format_is_that_of_the_statement_or_the_request(http: httpx.Client) -> None:
    """A header names the format."""
    answer = http.post("", content="SELECT 1 AS a FORMAT JSONEachRow", params={"default_format": "CSV"})
    assert (answer.text, answer.headers["X-ClickHouse-Format"]) == ('{"a":1}\n', "JSONEachRow")
    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
    answer = http.post("", content="SELECT 1, 'x'", params={"default_format": "CSV"})
    assert (answer.text, answer.headers["X-ClickHouse-Format"]) == ('1,"x"\n', "CSV")
    assert http.post("", content="SELECT 1").headers["X-ClickHouse-Format"] == "TabSeparated"
    assert "X-ClickHouse-Format" not in http.post("", content="CREATE TABLE t (a UInt8) ENGINE = Memory").headers


def test_a_repeated_header_is_refused(http: httpx.Client) -> None:
    """If it decides about access or the body: a proxy might judge by the other one."""
    for name in ("Authorization", "X-ClickHouse-Key", "Content-Encoding"):
        answer = http.post("", content="SELECT 1", headers=[(name, "a"), (name, "b")])
        assert (answer.status_code, answer.text) == (400, "a header is sent twice; send it once\n")


def test_a_response_has_statistics(http: httpx.Client) -> None:
    """Numbers are sent as text, as a server does; the query id is generated if the request has none."""
    answer = http.post("", content="SELECT number FROM numbers(10)", params={"query_id": "mine"})
    summary = json.loads(answer.headers["X-ClickHouse-Summary"])
    assert (summary["read_rows"], summary["result_rows"]) == ("10", "10")
    assert answer.headers["X-ClickHouse-Query-Id"] == "mine"
    assert answer.headers["X-ClickHouse-Timezone"]
    assert answer.headers["X-ClickHouse-Server-Display-Name"]
    assert len(http.post("", content="SELECT 1").headers["X-ClickHouse-Query-Id"]) == 36


@pytest.mark.parametrize(
    ("encoding", "decode"),
    [
        ("gzip", gzip.decompress),
        ("lz4", lz4.frame.decompress),
        ("zstd", zstandard.ZstdDecompressor().decompress),
    ],
)
def test_a_response_is_compressed_on_request(
    http: httpx.Client, encoding: str, decode: Callable[[bytes], bytes]
) -> None:
    """Compression needs both the header and the setting; short responses stay plain."""
    statement, headers = "SELECT number FROM numbers(2000)", {"Accept-Encoding": encoding}
    with http.stream("POST", "", content=statement, headers=headers, params={"enable_http_compression": "1"}) as answer:
        assert answer.headers["Content-Encoding"] == encoding
        body = b"".join(answer.iter_raw())
    assert decode(body).split() == [str(number).encode() for number in range(2000)]
    assert "Content-Encoding" not in http.post("", content=statement, headers=headers).headers


@pytest.mark.parametrize(
    ("statement", "status", "code"),
    [
        ("SELEKT", 400, 62),
        ("SELECT 1; SELECT 2", 400, 62),
        ("SELECT toUInt8('x')", 400, 6),
        ("SELECT nope", 404, 47),
        ("SELECT * FROM nope", 404, 60),
        ("SELECT * FROM nope.nope", 404, 81),
        ("SELECT nope()", 404, 46),
        ("SELECT 1 FORMAT Nope", 404, 73),
        ("SELECT sleep(3) SETTINGS max_execution_time = 1", 408, 159),
        ("SET max_threads = 1", 501, 48),
        ("SELECT 1 INTO OUTFILE 'x'", 501, 48),
        ("SELECT throwIf(1)", 500, 395),
        ("SELECT '" + "x" * (1 << 20) + "'", 413, 239),
    ],
    ids=lambda value: str(value)[:40],
)
def test_errors_have_the_servers_status_and_code(http: httpx.Client, statement: str, status: int, code: int) -> None:
    """The message has the code as well."""
    answer = http.post("", content=statement)
    assert answer.status_code == status, answer.text
    assert answer.headers["X-ClickHouse-Exception-Code"] == str(code)
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")
    assert "(version " in answer.text


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"decompress": "1"}, "48"),
        ({"compress": "1"}, "48"),
        ({"role": "admin"}, "48"),
        ({"session_id": "x", "session_check": "1"}, "48"),
        ({"database": "nowhere"}, "81"),
        ({"no_such_setting": "1"}, "115"),
        ({"max_threads": "many"}, "27"),
        ({"a = 1, b": "1"}, "115"),
    ],
)
def test_unsupported_parameters_are_refused(http: httpx.Client, params: dict[str, str], code: str) -> None:
    """They are not ignored silently."""
    answer = http.post("", params=params, content="SELECT 1")
    assert answer.headers["X-ClickHouse-Exception-Code"] == code, answer.text


def test_external_tables_are_refused(http: httpx.Client) -> None:
    """Otherwise they would be ignored silently."""
    answer = http.post("", params={"query": "SELECT * FROM x", "x_structure": "a UInt8"}, files={"x": b"1\n"})
    assert answer.headers["X-ClickHouse-Exception-Code"] == "48"


def test_a_health_check_needs_no_statement(http: httpx.Client) -> None:
    """Load balancers send such requests."""
    assert http.get("ping").text == "Ok.\n"
    assert httpx.get(str(http.base_url)).text == "Ok.\n"
    for nothing in ("", "  ", "-- nothing", ";"):
        assert http.post("", content=nothing).headers["X-ClickHouse-Exception-Code"] == "62"


def test_pages_in_a_browser_are_refused(http: httpx.Client) -> None:
    """Without a password, only their headers distinguish pages from programs."""
    page = http.post("", content="DROP DATABASE system", headers={"Origin": "https://evil.example"})
    assert (page.status_code, page.headers["X-ClickHouse-Exception-Code"]) == (403, "516")
    assert http.post("", content="SELECT 1", headers={"Host": "evil.example"}).status_code == 400


def disconnect_after(server_process: ServerProcess, statement: str, seen: Callable[[], bool]) -> None:
    """Send the statement, wait until it runs, and disconnect."""
    body = statement.encode()
    with socket.create_connection(("127.0.0.1", server_process.port)) as connection:
        head = f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        wait_until(seen)


def test_the_statement_of_a_disconnected_client_is_cancelled(server_process: ServerProcess, http: httpx.Client) -> None:
    """Its thread is free for other statements."""
    statement = "SELECT count() FROM numbers(100000000000) WHERE cityHash64(number) = 1 /* long */"

    def running() -> int:
        listed = http.post("", content="SELECT count() FROM system.processes WHERE query LIKE '%long */'")
        return int(listed.text)

    for _ in range(4):
        disconnect_after(server_process, statement, lambda: running() == 1)
        wait_until(lambda: running() == 0)
    assert http.post("", content="SELECT 1").text == "1\n"


def test_an_incomplete_body_runs_nothing(server_process: ServerProcess, http: httpx.Client) -> None:
    """A client that crashes during an insert has inserted nothing."""
    database = http.params["database"]
    http.post("", content="CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a")
    with socket.create_connection(("127.0.0.1", server_process.port)) as connection:
        body = f"INSERT INTO {database}.t FORMAT CSV\n1\n2\n".encode()
        connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n" + body)
    assert http.post("", content="SELECT count() FROM t").text == "0\n"


def test_time_in_the_queue_counts() -> None:
    """A statement that has queued for its whole limit is never run; a shorter wait shortens its limit."""
    deadline = Deadline(mark="", may_write=True, since=time.perf_counter() - 10)
    assert 49 < float(deadline.seconds_left("60")) <= 50
    assert (deadline.seconds_left("0"), deadline.seconds_left("nonsense")) == ("0", "nonsense")
    with pytest.raises(StatementFailed, match="Code: 159"):
        deadline.seconds_left("9.5")
