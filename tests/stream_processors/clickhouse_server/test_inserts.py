"""Guarded inserts: one block, at most once, and never a silent no-op."""

import io
from concurrent.futures import ThreadPoolExecutor

import httpx
import lz4.frame
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_processors.backends.sql.chdb_statements import StatementFailed
from stream_processors.clickhouse_server.inserts import parse_insert
from tests.stream_processors.clickhouse_server.process import ServerProcess

TABLE = (
    "CREATE TABLE t (a UInt32, b String) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 9"
)
GUARDED = (
    "INSERT INTO t (a, b) SELECT a, b FROM input('a UInt32, b String') "
    "WHERE (SELECT count() FROM t WHERE a = {n:UInt32}) = 0 FORMAT ArrowStream"
)
ONE_BLOCK = {
    "async_insert": "0",
    "deduplicate_insert": "enable",
    "deduplicate_insert_select": "force_enable",
    "max_insert_threads": "1",
    "max_insert_block_size": "1000001",
    "min_insert_block_size_rows": "1000001",
    "min_insert_block_size_bytes": "0",
    "max_insert_block_size_bytes": "0",
}


@pytest.fixture
def table(http: httpx.Client) -> httpx.Client:
    assert http.post("", content=TABLE).status_code == 200
    return http


def rows(count: int, pieces: int = 1) -> bytes:
    data = pa.table({"a": pa.array(range(count), pa.uint32()), "b": ["x"] * count})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, data.schema) as writer:
        writer.write_table(data.combine_chunks(), max_chunksize=-(-count // pieces))
    return sink.getvalue()


def guarded(client: httpx.Client, token: str, n: int, body: bytes, **headers: str) -> httpx.Response:
    params = {"query": GUARDED, "param_n": str(n), "insert_deduplication_token": token, **ONE_BLOCK}
    return client.post("", params=params, content=body, headers=headers)


def select(client: httpx.Client, statement: str) -> list[str]:
    answer = client.post("", content=statement)
    assert answer.status_code == 200, answer.text
    return answer.text.split()


def test_a_guard_decides_whether_anything_is_inserted(table: httpx.Client) -> None:
    """It is evaluated when the statement starts."""
    assert guarded(table, "one", 5, rows(10)).status_code == 200
    assert guarded(table, "two", 5, rows(10)).status_code == 200  # flush 5 is in the table now
    assert select(table, "SELECT count() FROM t") == ["10"]
    assert guarded(table, "three", 99, rows(10)).status_code == 200
    assert select(table, "SELECT count() FROM t") == ["20"]


def test_a_token_stops_a_repeat(table: httpx.Client) -> None:
    """A repeat is dropped even where its guard holds."""
    for _ in range(2):
        assert guarded(table, "same", 99, rows(10)).status_code == 200
    assert select(table, "SELECT count() FROM t") == ["10"]


@pytest.mark.parametrize("statement", [GUARDED, "INSERT INTO t (a, b) FORMAT ArrowStream"])
def test_an_insert_is_one_part(table: httpx.Client, statement: str) -> None:
    """This holds for any number of record batches."""
    params = {"query": statement, "param_n": "400000", "insert_deduplication_token": "one", **ONE_BLOCK}
    answer = table.post("", params=params, content=rows(200_000, 7))
    assert answer.status_code == 200, answer.text
    assert select(table, "SELECT rows FROM system.parts WHERE database = currentDatabase() AND active") == ["200000"]


def test_one_of_several_concurrent_inserts_is_kept(table: httpx.Client) -> None:
    """Several clients send them at the same time with the same token."""
    with ThreadPoolExecutor(8) as threads:
        for round_ in range(5):
            body, n = rows(1000), 100_000 + round_
            sent = [threads.submit(guarded, table, f"round {round_}", n, body) for _ in range(8)]
            assert {future.result().status_code for future in sent} == {200}
    assert select(table, "SELECT count() FROM t") == ["5000"]


def test_a_compressed_body_is_inserted_like_a_plain_one(table: httpx.Client) -> None:
    """A body that does not match its Content-Encoding is refused."""
    body = lz4.frame.compress(rows(10))
    assert guarded(table, "one", 99, body, **{"Content-Encoding": "lz4"}).status_code == 200
    assert select(table, "SELECT count() FROM t") == ["10"]
    broken = guarded(table, "two", 99, body[:-20], **{"Content-Encoding": "lz4"})
    assert broken.headers["X-ClickHouse-Exception-Code"] == "271"
    unknown = guarded(table, "two", 99, body, **{"Content-Encoding": "xz"})
    assert unknown.headers["X-ClickHouse-Exception-Code"] == "89"
    assert select(table, "SELECT count() FROM t") == ["10"]


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("INSERT INTO t SELECT * FROM input('a UInt32, b String')", rows(3)),
        ("INSERT INTO t SELECT * FROM input('a UInt32, b String')", b""),
        ("INSERT INTO t SELECT * FROM input() FORMAT ArrowStream", rows(3)),
        ("INSERT INTO t SELECT * FROM input({s:String}) FORMAT ArrowStream", rows(3)),
        ("INSERT INTO t SELECT * FROM input(concat('a UInt32', ', b String')) FORMAT ArrowStream", rows(3)),
        ("INSERT INTO t SELECT 1, 'x' FORMAT ArrowStream", rows(3)),
        ("INSERT INTO t SELECT * FROM input('a UInt32'), input('b String') FORMAT ArrowStream", rows(3)),
        ("INSERT INTO t FORMAT CSV SETTINGS max_threads = 1", b"1,x\n"),
        ("INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV", b""),
        ("INSERT INTO t (a); DROP TABLE t; INSERT INTO t FORMAT CSV", b"1,x\n"),
        ("INSERT INTO t VALUES (1, 'x'); DROP TABLE t", b""),
        ("INSERT INTO t FORMAT Values", b"(1, 'x'); DROP TABLE t"),
        ("INSERT INTO t VALUES", b"(1, 'x')," * 200_000 + b"(1, 'x')"),
        ("INSERT INTO t FORMAT NoSuchFormat", b"1,x\n"),
        ("INSERT INTO nowhere FORMAT CSV", b"1,x\n"),
        ("INSERT INTO t FORMAT ArrowStream", b"not arrow at all"),
        (GUARDED, rows(3)[:-30]),
    ],
)
def test_unsupported_inserts_are_refused(
    table: httpx.Client, server_process: ServerProcess, query: str, body: bytes
) -> None:
    """They are never applied in part or ignored silently, and leave nothing in the spool."""
    answer = table.post("", params={"query": query, "param_n": "9", "param_s": "a UInt32, b String"}, content=body)
    assert answer.status_code >= 400
    assert int(answer.headers["X-ClickHouse-Exception-Code"]) > 0
    assert select(table, "SELECT count() FROM t") == ["0"]
    assert list((server_process.path / "spool").iterdir()) == []


def test_data_may_follow_in_the_same_body(table: httpx.Client) -> None:
    """Data starts after the first line break, otherwise after the blanks."""
    for body in (
        "INSERT INTO t FORMAT CSV\n1,FORMAT\n",
        "INSERT INTO t FORMAT CSV 2,VALUES\n",
        "INSERT INTO t (a, b) VALUES (3, 'SELECT')",
        "-- comment\nINSERT /* FORMAT */ INTO t (a, b) FORMAT TSV\r\n4\tx\n",
        'INSERT INTO t FORMAT JSONEachRow {"a":5,"b":"y"}',
        "INSERT INTO t SETTINGS max_threads = 1 FORMAT CSV\n6,z\n",
        "INSERT INTO t SELECT 7, 'FORMAT' FROM numbers(1)",
    ):
        assert table.post("", content=body).status_code == 200, body
    assert select(table, "SELECT a FROM t ORDER BY a") == ["1", "2", "3", "4", "5", "6", "7"]


def test_get_does_not_write(table: httpx.Client) -> None:
    """Following a link must not change data."""
    for query in ("INSERT INTO t VALUES (1, 'x')", "DROP TABLE t", "INSERT INTO t SELECT 1, 'x'"):
        assert table.get("", params={"query": query}).headers["X-ClickHouse-Exception-Code"] == "164"
    assert select(table, "SELECT count() FROM t") == ["0"]


@given(
    st.binary(max_size=60), st.sampled_from([b"", b"INSERT INTO t ", b"INSERT INTO t SELECT * FROM input('a Int8') "])
)
def test_any_bytes_are_parsed_or_refused(text: bytes, head: bytes) -> None:
    """No other error is raised, and data never starts before its statement."""
    whole = head + text + b" FORMAT CSV\n1,2"
    try:
        insert = parse_insert(whole)
    except StatementFailed:
        return
    if insert is not None:
        assert len(insert.head) <= insert.data_start <= len(whole)


def test_a_path_with_quotes_stays_a_path() -> None:
    """The spool may be in any directory."""
    insert = parse_insert(b"INSERT INTO t SELECT a FROM input ( 'a UInt8' ) WHERE 1 FORMAT CSV\n1")
    assert insert is not None
    assert insert.reading("/it's \\ here") == (
        r"INSERT INTO t SELECT a FROM file('/it\'s \\ here', CSV, 'a UInt8') WHERE 1 "
    )
