"""What curl sends, and what it gets: forms of a request, headers, statuses, and clients that hang up."""

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
from tests.stream_processors.clickhouse_server.process import EndpointProcess


def wait_until(condition: Callable[[], bool], patience: float = 30.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_statement_comes_in_the_address_or_the_body_or_both(http: httpx.Client) -> None:
    """In both, the body goes on where the address ends."""
    assert http.get("", params={"query": "SELECT 1"}).text == "1\n"
    assert http.post("", params={"query": "SELECT 1"}).text == "1\n"
    assert http.post("", content="SELECT 1").text == "1\n"
    assert http.post("", params={"query": "SELECT 1 +"}, content="2").text == "3\n"
    assert http.post("", content="SELECT 1;").text == "1\n"
    assert http.post("", data={"SELECT 1": ""}).status_code == 400  # an address form is a body as any: `SELECT+1=`


def test_parameters_come_in_the_address_or_in_a_form(http: httpx.Client) -> None:
    """Escaped as in TabSeparated; the values are never part of the text."""
    statement = "SELECT {a:String}, {b:Array(String)}"
    values = {"param_a": "tab\\t'", "param_b": "['x\\'','y']"}
    expected = "tab\\t\\'\t['x\\'','y']\n"
    assert http.post("", params=values, content=statement).text == expected
    form = {name: (None, value) for name, value in {"query": statement, **values}.items()}
    assert http.post("", files=form).text == expected
    assert http.post("", content="SELECT {missing:String}").headers["X-ClickHouse-Exception-Code"] == "456"


def test_a_format_is_the_statements_or_the_requests(http: httpx.Client) -> None:
    """And is named in a header."""
    answer = http.post("", content="SELECT 1 AS a FORMAT JSONEachRow", params={"default_format": "CSV"})
    assert (answer.text, answer.headers["X-ClickHouse-Format"]) == ('{"a":1}\n', "JSONEachRow")
    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
    answer = http.post("", content="SELECT 1, 'x'", params={"default_format": "CSV"})
    assert (answer.text, answer.headers["X-ClickHouse-Format"]) == ('1,"x"\n', "CSV")
    assert http.post("", content="SELECT 1").headers["X-ClickHouse-Format"] == "TabSeparated"
    assert "X-ClickHouse-Format" not in http.post("", content="CREATE TABLE t (a UInt8) ENGINE = Memory").headers


def test_an_answer_says_what_it_took(http: httpx.Client) -> None:
    """Numbers as text, as a server sends them; and its own query id where none was given."""
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
def test_an_answer_is_compressed_where_that_was_asked(
    http: httpx.Client, encoding: str, decode: Callable[[bytes], bytes]
) -> None:
    """Both by header and by setting; short ones and others stay plain."""
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
    """The text says it too."""
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
def test_what_a_request_may_not_ask_is_refused(http: httpx.Client, params: dict[str, str], code: str) -> None:
    """Rather than left out."""
    answer = http.post("", params=params, content="SELECT 1")
    assert answer.headers["X-ClickHouse-Exception-Code"] == code, answer.text


def test_external_tables_are_refused(http: httpx.Client) -> None:
    """They would be read as nothing."""
    answer = http.post("", params={"query": "SELECT * FROM x", "x_structure": "a UInt8"}, files={"x": b"1\n"})
    assert answer.headers["X-ClickHouse-Exception-Code"] == "48"


def test_life_is_asked_for_without_a_statement(http: httpx.Client) -> None:
    """As load balancers do."""
    assert http.get("ping").text == "Ok.\n"
    assert httpx.get(str(http.base_url)).text == "Ok.\n"
    for nothing in ("", "  ", "-- nothing", ";"):
        assert http.post("", content=nothing).headers["X-ClickHouse-Exception-Code"] == "62"


def test_pages_in_a_browser_are_kept_out(http: httpx.Client) -> None:
    """Where there is no password, only their headers tell them from programs."""
    page = http.post("", content="DROP DATABASE system", headers={"Origin": "https://evil.example"})
    assert (page.status_code, page.headers["X-ClickHouse-Exception-Code"]) == (403, "516")
    assert http.post("", content="SELECT 1", headers={"Host": "evil.example"}).status_code == 400


def hang_up_after(endpoint: EndpointProcess, statement: str, seen: Callable[[], bool]) -> None:
    """Send it, wait until it runs, and go."""
    body = statement.encode()
    with socket.create_connection(("127.0.0.1", endpoint.port)) as connection:
        head = f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        wait_until(seen)


def test_a_client_that_hangs_up_holds_nobody_up(endpoint: EndpointProcess, http: httpx.Client) -> None:
    """Its statement is cancelled, so that others have the place."""
    statement = "SELECT count() FROM numbers(100000000000) WHERE cityHash64(number) = 1 /* long */"

    def running() -> int:
        listed = http.post("", content="SELECT count() FROM system.processes WHERE query LIKE '%long */'")
        return int(listed.text)

    for _ in range(4):
        hang_up_after(endpoint, statement, lambda: running() == 1)
        wait_until(lambda: running() == 0)
    assert http.post("", content="SELECT 1").text == "1\n"


def test_a_body_cut_short_runs_nothing(endpoint: EndpointProcess, http: httpx.Client) -> None:
    """The client that died in the middle of an insert has inserted nothing."""
    database = http.params["database"]
    http.post("", content="CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a")
    with socket.create_connection(("127.0.0.1", endpoint.port)) as connection:
        body = f"INSERT INTO {database}.t FORMAT CSV\n1\n2\n".encode()
        connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n" + body)
    assert http.post("", content="SELECT count() FROM t").text == "0\n"


def test_time_in_the_queue_counts() -> None:
    """A statement that has waited its whole limit for others is never run; one that waited less has less left."""
    deadline = Deadline(mark="", may_write=True, since=time.perf_counter() - 10)
    assert 49 < float(deadline.seconds_left("60")) <= 50
    assert (deadline.seconds_left("0"), deadline.seconds_left("nonsense")) == ("0", "nonsense")
    with pytest.raises(StatementFailed, match="Code: 159"):
        deadline.seconds_left("9.5")
