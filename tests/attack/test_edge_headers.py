"""Headers that say two things, trailers that pretend to be headers, and refusals that a sending client can read."""

import random
import string

import httpx
import pytest

from tests.attack.raw_client import MEBIBYTE, Answer, RawConnection, chunked, head
from tests.server_process import KEY, ServerProcess

pytestmark = pytest.mark.long
"""Each process of a test run starts a server for them; `tests/tallyhouse/runtime` has the quick forms."""

AUTHORIZATION = f"Authorization: Bearer {KEY}"
JSON = "Content-Type: application/json"
FUZZED_HEADS = 500
SEED = 20261130


def exchange(server: ServerProcess, request: bytes) -> Answer:
    with RawConnection(server.port) as connection:
        connection.send(request)
        answer = connection.answer()
    assert answer is not None
    return answer


def test_a_trailer_does_not_authenticate(attacked: ServerProcess) -> None:
    """Nor does it reach the next request of the connection."""
    trailer = chunked([b'{"name": "x"}'], f"{AUTHORIZATION}\r\n")
    with RawConnection(attacked.port) as connection:
        connection.send(head("POST", "/v1/keys", "Transfer-Encoding: chunked") + trailer)
        connection.send(head("GET", "/v1/meters"))
        answers = [connection.answer(), connection.answer()]
    assert [answer.status for answer in answers if answer is not None] == [401, 401]


@pytest.mark.parametrize("trailer", ["Authorization: Bearer no", "Idempotency-Key: other", "Content-Type: text/plain"])
def test_a_trailer_overrides_no_header(attacked: ServerProcess, trailer: str) -> None:
    """The request counts as its headers describe it."""
    body = chunked([b'{"events"', b": []}"], f"{trailer}\r\nX-Other: 1\r\n")
    request = head("POST", "/v1/events/ingest", AUTHORIZATION, JSON, "Idempotency-Key: k", "Transfer-Encoding: chunked")
    with RawConnection(attacked.port) as connection:
        for _ in range(2):
            connection.send(request + body)
            answer = connection.answer()
            assert answer is not None
            assert answer.status == exchange(attacked, request + chunked([b'{"events": []}'])).status


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Authorization", (f"Bearer {KEY}", "Bearer ak_live_other")),
        ("Authorization", (f"Bearer {KEY}", f"Bearer {KEY}")),
        ("Idempotency-Key", ("one", "two")),
        ("Content-Type", ("application/json", "application/x-ndjson")),
        ("Content-Encoding", ("gzip", "zstd")),
        ("Host", ("localhost", "other")),
        ("Accept", ("application/json", "text/csv")),
        ("X-Request-Id", ("one", "two")),
    ],
)
def test_a_repeated_header_is_refused(attacked: ServerProcess, name: str, values: tuple[str, str]) -> None:
    """Whichever way a proxy before it would read them."""
    lines = [f"{name}: {values[0]}", f"{name.upper()}: {values[1]}"]
    lines += [] if name == "Authorization" else [AUTHORIZATION]
    target = head("GET", "/v1/meters", *lines)
    if name == "Host":
        target = target.replace(b"Host: localhost\r\n", b"", 1)
    answer = exchange(attacked, target)
    assert (answer.status, answer.error["code"]) == (400, "REPEATED_HEADER")
    assert answer.error["details"] == {"header": name.lower()}


def test_a_repeated_header_that_decides_nothing_is_accepted(attacked: ServerProcess) -> None:
    """Proxies add to these."""
    lines = [AUTHORIZATION, *["Cookie: a=b", "X-Forwarded-For: 10.0.0.1", "Tracestate: a=1"] * 2]
    assert exchange(attacked, head("GET", "/v1/meters", *lines)).status == 200


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 5", "Content-Length: 6"),
        ("Content-Length: 5", "Content-Length: 5"),
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: gzip",),
        ("Content-Length: -1",),
        ("Broken header: 1",),
        ("X: \x00",),
    ],
)
def test_what_is_not_http_is_answered_in_the_envelope(attacked: ServerProcess, lines: tuple[str, ...]) -> None:
    """Two lengths are how a request is smuggled through a proxy."""
    answer = exchange(attacked, head("POST", "/v1/events/ingest", AUTHORIZATION, *lines) + b"hello")
    assert (answer.status, answer.error["code"]) == (400, "MALFORMED_REQUEST")
    assert answer.headers["connection"] == "close"


def test_what_follows_an_upgrade_is_no_request(attacked: ServerProcess) -> None:
    """No other protocol is spoken here: the request is answered as HTTP, and the connection closes."""
    hidden = head("GET", "/healthz")
    lines = ("Connection: Upgrade", "Upgrade: other", f"Content-Length: {len(hidden)}")
    with RawConnection(attacked.port) as connection:
        connection.send(head("POST", "/v1/events/ingest", *lines))
        connection.send(hidden)
        answer = connection.answer()
        assert answer is not None
        assert answer.status == 401
        assert connection.closed()


@pytest.mark.parametrize("size", [11 * MEBIBYTE, 100 * MEBIBYTE])
def test_the_413_of_an_oversized_body_reaches_a_client_that_sends_it_all(attacked: ServerProcess, size: int) -> None:
    """A client that reads only when it has sent, as most do; announced or chunked."""
    piece = b"a" * MEBIBYTE
    with RawConnection(attacked.port) as connection:
        connection.send(head("POST", "/v1/events/ingest", AUTHORIZATION, f"Content-Length: {size}"))
        assert connection.flood(piece, size // len(piece)) == size
        announced = connection.answer()
    with RawConnection(attacked.port) as connection:
        connection.send(head("POST", "/v1/events/ingest", AUTHORIZATION, JSON, "Transfer-Encoding: chunked"))
        assert connection.flood(b"100000\r\n%s\r\n" % piece, size // len(piece)) > size
        connection.send(b"0\r\n\r\n")
        in_chunks = connection.answer()
    for answer in (announced, in_chunks):
        assert answer is not None
        assert (answer.status, answer.error["code"]) == (413, "PAYLOAD_TOO_LARGE")


def test_a_refusal_before_the_body_reaches_an_ordinary_client(attacked: ServerProcess) -> None:
    """One that has a library, and posts with a wrong key."""
    answer = httpx.post(
        f"{attacked.url}/v1/events/ingest", content=b"a" * 20 * MEBIBYTE, headers={"Authorization": "Bearer ak_live_no"}
    )
    assert answer.status_code == 401


def test_a_client_that_waits_for_100_continue_is_refused_without_a_body(attacked: ServerProcess) -> None:
    """The connection closes, because its next byte could be of the body or of another request."""
    with RawConnection(attacked.port) as connection:
        connection.send(head("POST", "/v1/events/ingest", "Content-Length: 100", "Expect: 100-continue"))
        answer = connection.answer()
        assert answer is not None
        assert answer.status == 401
        assert connection.closed()


def _fuzzed_head(choose: random.Random) -> bytes:
    """A head that is right in most places, and wrong in a few."""
    names = [
        "Host",
        "Authorization",
        "Content-Length",
        "Transfer-Encoding",
        "Expect",
        "Connection",
        "Upgrade",
        "X-Other",
    ]
    values = [
        "",
        "0",
        "5",
        "-1",
        "9" * 30,
        "chunked",
        "close",
        "upgrade",
        "100-continue",
        f"Bearer {KEY}",
        "\t",
        "é",
        "a" * 40_000,
    ]
    method = choose.choice(
        ["GET", "POST", "HEAD", "OPTIONS", "CONNECT", "PRI", "get", "A" * choose.randrange(1, 70_000)]
    )
    target = choose.choice(
        ["/", "*", "/healthz", "/v1/meters?a=%zz", "http://[::1", "localhost:80", "/" + "é" * 9, "//" * 10_000]
    )
    version = choose.choice(["HTTP/1.1"] * 5 + ["HTTP/1.0", "HTTP/2.0", "HTTP/9.9", ""])
    lines = [f"{choose.choice(names)}: {choose.choice(values)}" for _ in range(choose.randrange(0, 8))]
    whole = bytearray("\r\n".join([f"{method} {target} {version}", *lines, "", ""]).encode())
    for _ in range(choose.choice([0, 0, 1, 3])):
        whole[choose.randrange(len(whole))] = choose.randrange(256)
    noise = "".join(choose.choices(string.printable, k=choose.choice([0, 5, 100])))
    return bytes(whole) + noise.encode()


def test_fuzzed_heads_are_answered_or_closed(attacked: ServerProcess) -> None:
    """Never a 500, never a hung connection, and an ordinary client is served afterwards."""
    choose = random.Random(SEED)
    statuses: dict[int | None, int] = {}
    for _ in range(FUZZED_HEADS):
        with RawConnection(attacked.port) as connection:
            connection.flood(_fuzzed_head(choose), 1)
            connection.shut()
            answer = connection.answer(to_head=True)
        status = None if answer is None else answer.status
        statuses[status] = statuses.get(status, 0) + 1
    print(f"{FUZZED_HEADS} fuzzed heads: {statuses}")
    assert not {status for status in statuses if status is not None and status >= 500}
    assert attacked.client.get("/healthz").status_code == 200
