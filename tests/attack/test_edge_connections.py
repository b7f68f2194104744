"""Connections that get no further, and so many of them that no file descriptor would be left."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tallyhouse.runtime.connection_limits import affordable_connections
from tests.attack.conftest import STALL_SECONDS
from tests.attack.raw_client import MEBIBYTE, RawConnection, forget_peak, head, resident_bytes
from tests.attack.server_with_few_files import FILES
from tests.server_process import KEY, ServerProcess

pytestmark = pytest.mark.long

AUTHORIZATION = f"Authorization: Bearer {KEY}"
DRIP_SECONDS = STALL_SECONDS / 5
LIMITED = ("tests.attack.server_with_few_files",)


def drip(connection: RawConnection, byte: bytes) -> None:
    """Sends one byte after the other, until the server has sent something."""
    connection.socket.settimeout(DRIP_SECONDS)
    while True:
        connection.flood(byte, 1)
        try:
            connection.socket.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            continue
        except ConnectionError:
            pass  # The server has closed the connection: the caller reads what it sent before.
        connection.socket.settimeout(60)
        return


def test_headers_that_arrive_byte_by_byte_time_out(impatient: ServerProcess) -> None:
    """The timeout is for the whole head, so that a byte now and then does not extend it."""
    with RawConnection(impatient.port) as connection:
        connection.send(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        drip(connection, b"a")
        answer = connection.answer()
        assert answer is not None
        assert (answer.status, answer.error["code"]) == (408, "REQUEST_TIMEOUT")
        assert "TALLYHOUSE_STALL_TIMEOUT" in answer.error["message"]
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.closed()


def test_the_headers_of_a_later_request_time_out_too(impatient: ServerProcess) -> None:
    """A first request that was answered buys no time."""
    with RawConnection(impatient.port) as connection:
        connection.send(head("GET", "/healthz"))
        first = connection.answer()
        assert first is not None
        assert first.status == 200
        connection.send(b"GET /")
        drip(connection, b"a")
        answer = connection.answer()
        assert answer is not None
        assert answer.status == 408


@pytest.mark.parametrize("target", ["/v1/events/ingest", "/v1/meters"])
def test_a_body_that_pauses_times_out(impatient: ServerProcess, target: str) -> None:
    """Also on routes that read a document."""
    with RawConnection(impatient.port) as connection:
        connection.send(head("POST", target, AUTHORIZATION, "Content-Length: 100") + b"{")
        answer = connection.answer()
        assert answer is not None
        assert (answer.status, answer.error["code"]) == (408, "REQUEST_TIMEOUT")
        assert "no byte of the body" in answer.error["message"]


@pytest.mark.long
def test_a_body_that_arrives_byte_by_byte_times_out(impatient: ServerProcess) -> None:
    """After half a minute in all, however short the pauses."""
    with RawConnection(impatient.port) as connection:
        connection.send(head("POST", "/v1/events/ingest", AUTHORIZATION, "Content-Length: 10000"))
        drip(connection, b" ")
        answer = connection.answer()
        assert answer is not None
        assert answer.status == 408


def test_the_rest_of_a_refused_body_times_out(impatient: ServerProcess) -> None:
    """The answer was sent long before."""
    with RawConnection(impatient.port) as connection:
        connection.send(head("POST", "/v1/events/ingest", "Content-Length: 100") + b"{")
        answer = connection.answer()
        assert answer is not None
        assert answer.status == 401
        assert connection.closed()


def test_idle_connections_are_closed(impatient: ServerProcess) -> None:
    """Before the first request and after it, line breaks notwithstanding, which HTTP ignores before a request."""
    with RawConnection(impatient.port) as silent, RawConnection(impatient.port) as answered:
        answered.send(head("GET", "/healthz"))
        answer = answered.answer()
        assert answer is not None
        assert answer.status == 200
        answered.send(b"\r\n")
        assert silent.closed()
        assert answered.closed()


@contextmanager
def half_sent(port: int, number: int) -> Iterator[list[RawConnection]]:
    affordable_connections(number)
    with ExitStack() as opened:
        connections = [opened.enter_context(RawConnection(port)) for _ in range(number)]
        for connection in connections:
            connection.flood(b"POST /v1/events/ingest HTTP/1.1\r\nX-Half: " + b"a" * 1000, 1)
        yield connections


def serves_ordinary_clients(server: ServerProcess, source: str) -> None:
    """New connections from that address get answers."""
    transport = httpx.HTTPTransport(local_address=source)
    with httpx.Client(base_url=server.url, transport=transport, headers={"Authorization": f"Bearer {KEY}"}) as client:
        for _ in range(20):
            assert client.get("/healthz", headers={"Connection": "close"}).status_code == 200
        assert client.get("/v1/meters").status_code == 200


@pytest.mark.parametrize(
    ("files", "number"), [(400, 500), pytest.param(1024, 1100, marks=pytest.mark.long)], ids=["few", "many"]
)
def test_half_sent_requests_shut_nobody_out(
    no_disk: Path, monkeypatch: pytest.MonkeyPatch, files: int, number: int
) -> None:
    """More than there are file descriptors, and with a timeout that ends none of them meanwhile."""
    monkeypatch.setenv(FILES, str(files))
    with (
        ServerProcess(no_disk / f"few_files_{files}", program=LIMITED, stall_timeout="10m") as server,
        half_sent(server.port, number) as connections,
    ):
        for source in ("127.0.0.1", "127.0.0.2"):
            serves_ordinary_clients(server, source)
        closed = sum(_is_closed(connection) for connection in connections)
        assert closed >= number - files + 100
        assert server.stop() == 0


def _is_closed(connection: RawConnection) -> bool:
    connection.socket.setblocking(False)
    try:
        return connection.socket.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_one_address_cannot_take_all_connections(no_disk: Path) -> None:
    """Its requests in progress are not displaced, so its next connection is answered 503; another address is served."""
    settings = {"connection_limit_per_address": "20", "stall_timeout": "10m"}
    with ServerProcess(no_disk / "one_address", **settings) as server, ExitStack() as opened:
        server.client.close()
        connections = [opened.enter_context(RawConnection(server.port)) for _ in range(20)]
        for connection in connections:
            connection.send(head("POST", "/v1/meters", AUTHORIZATION, "Content-Length: 100", "Expect: 100-continue"))
            assert connection.socket.recv(100).startswith(b"HTTP/1.1 100")
        with RawConnection(server.port) as refused:
            refused.send(head("GET", "/healthz"))
            answer = refused.answer()
        assert answer is not None
        assert (answer.status, answer.error["code"], answer.headers["retry-after"]) == (503, "UNAVAILABLE", "1")
        assert "20 open connections" in answer.error["message"]
        serves_ordinary_clients(server, "127.0.0.2")
        connections[0].socket.close()
        connections[1].socket.close()
        # The server learns of the end with its next look.
        with RawConnection(server.port, "127.0.0.3") as other:
            other.send(head("GET", "/healthz"))
            assert other.answer() is not None
        serves_ordinary_clients(server, "127.0.0.1")


@pytest.mark.long
def test_three_thousand_half_sent_requests_cost_little(attacked: ServerProcess) -> None:
    """Each as large as the limits allow."""
    affordable_connections(3000)
    forget_peak(attacked.pid)
    before = resident_bytes(attacked.pid)
    with ExitStack() as opened:
        for number in range(3000):
            connection = opened.enter_context(RawConnection(attacked.port, f"127.0.1.{number % 250 + 1}"))
            connection.flood(b"GET /healthz HTTP/1.1\r\nX-Half: " + b"a" * 30_000, 1)
        risen = resident_bytes(attacked.pid, "VmHWM") - before
    print(f"3,000 half-sent requests of 30 kB: {risen / MEBIBYTE:.1f} MiB")
    assert risen < 300 * MEBIBYTE
