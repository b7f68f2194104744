"""What a caller without a key can make the gateway hold: each attack is bounded before a key has been looked at."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.attack.raw_client import (
    MEBIBYTE,
    FloodWhileReading,
    RawConnection,
    forget_peak,
    head,
    resident_bytes,
)
from tests.server_process import ServerProcess, wait_until

pytestmark = pytest.mark.long

ROOM = 64 * MEBIBYTE
"""What any of these attacks may cost. Without limits they cost up to 9 GB."""

PIECE = b"a" * (1 << 16)
HEADER = b"X-Large: " + b"a" * 65_000 + b"\r\n"
HEADERS_100_MB = 100 * MEBIBYTE // len(HEADER)


@contextmanager
def bounded(pid: int, room: int = ROOM) -> Iterator[None]:
    """Fails if the process's memory has risen by more than `room` at any moment in between."""
    forget_peak(pid)
    before = resident_bytes(pid)
    yield
    risen = resident_bytes(pid, "VmHWM") - before
    print(f"memory rose by {risen / MEBIBYTE:.1f} MiB")
    assert risen < room


@pytest.mark.parametrize("piece", [HEADER, b"A: b\r\n" * 10_000, b" " * 65_536], ids=["long", "many", "folded"])
def test_headers_of_a_hundred_megabytes(attacked: ServerProcess, piece: bytes) -> None:
    """The answer is 431, and a client that reads it only after the last byte gets it."""
    with bounded(attacked.pid), RawConnection(attacked.port) as connection:
        connection.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-First: 1")
        connection.send(b"\r\n" if piece.strip() else b"")
        connection.flood(piece, 100 * MEBIBYTE // len(piece))
        answer = connection.answer()
        assert answer is not None
        assert (answer.status, answer.error["code"]) == (431, "HEADERS_TOO_LARGE")
        assert "32768 bytes and 100 headers" in answer.error["message"]
        assert connection.closed()


def test_twenty_unfinished_requests_with_headers_of_fifty_megabytes(attacked: ServerProcess) -> None:
    """They are open at the same time."""
    with bounded(attacked.pid), ExitStack() as opened:
        connections = [opened.enter_context(RawConnection(attacked.port)) for _ in range(20)]
        for connection in connections:
            connection.send(b"GET /healthz HTTP/1.1\r\nX-Large: ")
            connection.flood(PIECE, 50 * MEBIBYTE // len(PIECE))
        answers = [connection.answer() for connection in connections]
    assert [answer.status for answer in answers if answer is not None] == [431] * 20


def test_a_url_of_fifty_megabytes_delays_nobody(attacked: ServerProcess) -> None:
    """The answer is 414, and `/healthz` answers meanwhile."""
    slowest = 0.0
    with (
        bounded(attacked.pid),
        RawConnection(attacked.port) as connection,
        httpx.Client(base_url=attacked.url) as client,
    ):
        connection.send(b"GET /")
        with FloodWhileReading(connection, PIECE, 50 * MEBIBYTE // len(PIECE)):
            answer = connection.answer()
            for _ in range(20):
                started = time.monotonic()
                assert client.get("/healthz").status_code == 200
                slowest = max(slowest, time.monotonic() - started)
    print(f"the slowest answer of /healthz took {1000 * slowest:.1f} ms")
    assert slowest < 2
    assert answer is not None
    assert (answer.status, answer.error["code"]) == (414, "URL_TOO_LONG")
    assert "16384 bytes" in answer.error["message"]


def test_a_client_that_never_stops_sending_is_cut_off(attacked: ServerProcess) -> None:
    """The gateway discards no more than a quarter of a gigabyte after its answer."""
    with bounded(attacked.pid), RawConnection(attacked.port) as connection:
        connection.send(b"GET /")
        sent = connection.flood(PIECE, 2048 * MEBIBYTE // len(PIECE))
    assert sent < 300 * MEBIBYTE


def test_requests_sent_ahead_of_their_responses(attacked: ServerProcess) -> None:
    """The first are answered in order; the last of these says that the connection closes: the rest can be repeated."""
    request = head("GET", "/healthz")
    with bounded(attacked.pid), RawConnection(attacked.port) as connection:
        connection.flood(request * 1000, 200)
        answers = []
        while (answer := connection.answer()) is not None:
            answers.append(answer)
    assert {answer.status for answer in answers} == {200}
    assert len(answers) >= 64
    assert ["connection" in answer.headers for answer in answers] == [False] * (len(answers) - 1) + [True]


@pytest.mark.parametrize("endless", [b"X-Trailer: a\r\n" * 4096, b"a" * 65_536], ids=["many", "one"])
def test_endless_trailers(attacked: ServerProcess, endless: bytes) -> None:
    """They are no part of the request, so that no later limit would see them."""
    with bounded(attacked.pid), RawConnection(attacked.port) as connection:
        connection.send(head("POST", "/v1/events/ingest", "Transfer-Encoding: chunked") + b"1\r\nx\r\n0\r\nX-T: ")
        answer = connection.answer()
        assert answer is not None
        assert answer.status == 401
        connection.flood(endless, 100 * MEBIBYTE // len(endless))
        assert connection.closed()


def test_bodies_without_a_key_are_not_kept(attacked: ServerProcess) -> None:
    """The answer does not wait for the body, and the connection can go on once the body has been discarded."""
    body = b"a" * (4 * MEBIBYTE)
    with bounded(attacked.pid), ExitStack() as opened:
        connections = []
        for _ in range(50):
            connection = opened.enter_context(RawConnection(attacked.port))
            connections.append(connection)
            connection.send(head("POST", "/v1/events/ingest", f"Content-Length: {len(body)}") + body)
            answer = connection.answer()
            assert answer is not None
            assert answer.status == 401
            connection.send(head("GET", "/healthz"))
        answers = [connection.answer() for connection in connections]
        assert [answer.status for answer in answers if answer is not None] == [200] * 50


def test_responses_that_no_client_reads(impatient: ServerProcess) -> None:
    """The connection is given up when nothing of a response has been taken for as long as the stall timeout."""
    with bounded(impatient.pid), ExitStack() as opened:
        connections = [opened.enter_context(RawConnection(impatient.port)) for _ in range(20)]
        for connection in connections:
            connection.send(head("GET", "/openapi.json") * 60)
        peers = {connection.socket.getsockname()[1] for connection in connections}
        wait_until("the gateway to close the connections", lambda: not peers & _established_peers(impatient.port))


def _established_peers(port: int) -> set[int]:
    """The remote ports of the server's open connections."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    ends = ((row[1].rpartition(":")[2], row[2].rpartition(":")[2], row[3]) for row in rows)
    return {int(remote, 16) for local, remote, state in ends if int(local, 16) == port and state == "01"}


def test_the_clickhouse_port_is_bounded_too(attacked: ServerProcess, clickhouse_port: int) -> None:
    """Its URLs may be as long as ClickHouse's own: a mebibyte."""
    with bounded(attacked.worker):
        for start, flood, status in (
            (b"GET /?query=", PIECE, 414),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\n", HEADER, 431),
        ):
            with RawConnection(clickhouse_port) as connection:
                connection.send(start)
                connection.flood(flood, 100 * MEBIBYTE // len(flood))
                answer = connection.answer()
                assert answer is not None
                assert answer.status == status
                assert b"limit of" in answer.body
