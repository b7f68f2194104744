"""The server meets the expectations of clickhouse-connect's HTTP client."""

import gzip
import signal
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import lz4.frame
import pyarrow as pa
import pytest
import zstandard
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError

from tests.stream_processors.clickhouse_server.process import ServerProcess

TABLE = (
    "CREATE TABLE t (a UInt32, b String) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 9"
)

VALUES = [
    ("String", "tab\t newline\n quote' backslash\\ é 漢 {x}"),
    ("String", ""),
    ("UInt16", 65535),
    ("UInt64", 2**64 - 1),
    ("Int64", -(2**63)),
    ("Decimal(38, 12)", Decimal("-99999999999999.000000000001")),
    ("Array(String)", ["it's", "\\n", "a\tb", "é\n"]),
    ("Array(UInt16)", [0, 65535]),
    ("Array(Int64)", [-1, 2**62]),
    ("Nullable(String)", None),
    ("DateTime64(6, 'UTC')", datetime(2026, 3, 29, 1, 59, 59, 999999, tzinfo=UTC)),
    ("Date", datetime(2026, 3, 29, tzinfo=UTC).date()),
]


@pytest.fixture
def client(server_process: ServerProcess, database: str) -> Any:
    client = server_process.client(database=database)
    client.command(TABLE)
    return client


@pytest.mark.parametrize(("kind", "value"), VALUES, ids=str)
def test_a_parameter_arrives_unchanged(client: Any, kind: str, value: Any) -> None:
    """This holds for every type and any content."""
    ((found,),) = client.query(f"SELECT {{value:{kind}}}", parameters={"value": value}).result_rows
    if isinstance(value, datetime):
        found = found.replace(tzinfo=UTC)
    assert found == value


def test_parameters_too_long_for_a_url_arrive(client: Any) -> None:
    """The client sends them as a form."""
    values = [f"backfill/{number}/é'\\" for number in range(5000)]
    rows = client.query("SELECT arrayJoin({values:Array(String)})", parameters={"values": values}).result_rows
    assert [value for (value,) in rows] == values


def test_rows_are_returned_as_they_were_inserted(client: Any) -> None:
    """Rows are inserted and read both by row and by column."""
    client.insert("t", [[1, "x"], [2, "y\n"]], column_names=["a", "b"])
    client.insert_arrow("t", pa.table({"a": pa.array([3], pa.uint32()), "b": ["z"]}))
    client.command("INSERT INTO t (a, b) VALUES (4, 'w'), (5, '')")
    expected = [(1, "x"), (2, "y\n"), (3, "z"), (4, "w"), (5, "")]
    assert client.query("SELECT a, b FROM t ORDER BY a").result_rows == expected
    arrow = client.query_arrow("SELECT a, b FROM t ORDER BY a").to_pydict()
    assert list(zip(arrow["a"], arrow["b"], strict=True)) == expected


def test_large_results_are_complete(client: Any) -> None:
    """They are compressed, and consist of many blocks."""
    rows = client.query("SELECT number, toString(number) FROM numbers(300000)").result_rows
    assert rows[-1] == (299_999, "299999")
    assert len(rows) == 300_000
    with client.query_row_block_stream("SELECT number FROM numbers(200000)") as blocks:
        assert sum(len(block) for block in blocks) == 200_000


def test_a_result_without_rows_has_columns(client: Any) -> None:
    """The client reads the columns before it inserts a data frame."""
    assert client.query("SELECT a, b FROM t LIMIT 0").column_names == ("a", "b")
    assert client.query("SELECT a, b FROM t WHERE a > 5").result_rows == []


@pytest.mark.parametrize(
    ("compression", "compress"),
    [("gzip", gzip.compress), ("lz4", lz4.frame.compress), ("zstd", zstandard.ZstdCompressor().compress)],
)
def test_compressed_bodies_are_read(client: Any, compression: str, compress: Any) -> None:
    """A body may consist of several frames, as clients send blocks."""
    body = compress(b"7,q\n") + compress(b"8,r\n")
    client.raw_insert("t", ["a", "b"], body, fmt="CSV", compression=compression)
    assert client.query("SELECT a, b FROM t ORDER BY a").result_rows == [(7, "q"), (8, "r")]


def test_a_summary_reports_what_was_written(client: Any) -> None:
    """A program can check its numbers."""
    summary = client.insert("t", [[number, ""] for number in range(1000)], column_names=["a", "b"])
    assert summary.written_rows == 1000


@pytest.mark.parametrize(
    ("statement", "settings", "code"),
    [
        ("SELECT nope FROM t", {}, 47),
        ("SELECT 1 FROM nowhere", {}, 60),
        ("SELEKT 1", {}, 62),
        ("SELECT sleep(3)", {"max_execution_time": 1}, 159),
        ("SELECT 1 SETTINGS no_such_setting = 1", {}, 115),
        ("SELECT throwIf(1)", {}, 395),
    ],
)
def test_errors_have_the_engines_code(client: Any, statement: str, settings: dict[str, Any], code: int) -> None:
    """They have its message as well."""
    with pytest.raises(DatabaseError, match=f"Code: {code}. DB::Exception: ") as refused:
        client.query(statement, settings=settings)
    assert refused.value.code == code


def test_settings_and_sessions_end_with_their_statement(client: Any) -> None:
    """No state of one statement is left for the next."""
    assert client.query("SELECT getSetting('max_threads')", settings={"max_threads": 1}).result_rows == [(1,)]
    assert client.query("SELECT getSetting('max_threads')").result_rows == [(2,)]
    for statement in ("SET max_threads = 1", "USE system", "CREATE TEMPORARY TABLE x (a UInt8)", "BEGIN TRANSACTION"):
        with pytest.raises(DatabaseError, match="Code: 48"):
            client.command(statement)


def test_a_lost_server_is_distinguished_from_an_error_response(tmp_path: Path) -> None:
    """The client raises OperationalError, for the outcome is unknown; the next process serves the same data."""
    with ServerProcess(tmp_path) as server_process:
        client = server_process.client()
        client.command(TABLE)
        client.insert("t", [[1, "x"]], column_names=["a", "b"])
        (tmp_path / "spool" / "left.data").write_bytes(b"by the dead")
        server_process.end(signal.SIGKILL)
        with pytest.raises(OperationalError):
            client.query("SELECT 1")
        server_process.start()
        assert client.query("SELECT a FROM t").result_rows == [(1,)]
        assert list((tmp_path / "spool").iterdir()) == []
        assert server_process.end(signal.SIGTERM) == 0


def test_only_the_right_password_gives_access(tmp_path: Path) -> None:
    """The user name makes no difference."""
    (tmp_path / "password").write_text("secret words\n")
    with ServerProcess(tmp_path / "data", "--password-file", str(tmp_path / "password")) as server_process:
        assert server_process.client(username="anyone", password="secret words").ping()
        for wrong in ("", "secret", "secret words "):
            with pytest.raises(ClickHouseError, match=r"AUTHENTICATION_FAILED|REQUIRED_PASSWORD"):
                server_process.client(username="anyone", password=wrong)
