"""The shape of every response, success or failure."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_gateway.http.envelope import Response
from ingest_gateway.http.errors import MethodNotAllowed, NotAcceptable, NotReady, problem_of
from ingest_gateway.http.middleware import RequestIds, RequestMiddleware
from schemas import errors
from schemas.errors import Invalid, RateLimited, StoreFailed, TallyhouseError
from schemas.logger import NullLogger
from schemas.metrics import NullMetrics
from tests.ingest_gateway.conftest import InMemoryApp

pytestmark = pytest.mark.anyio


async def test_success_has_its_shape(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """`success`, the resource under its name, and the request id, nothing more."""
    reply = await in_memory_app.client.get("/v1/meters", headers=auth)
    assert reply.json() == {
        "success": True,
        "meters": [],
        "pagination": {"has_more": False, "next_cursor": None},
        "request_id": reply.headers["x-request-id"],
    }
    assert reply.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/v1/meters", "/v1/keys", "/v1/meters?limit=0", "/v1/nothing", "/healthz"])
async def test_no_cache_stores_a_response(in_memory_app: InMemoryApp, auth: dict[str, str], path: str) -> None:
    reply = await in_memory_app.client.get(path, headers=auth)
    assert reply.headers["cache-control"] == "no-store"


async def test_failure_has_its_shape(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """`success`, the error with code, message and details, and the request id, nothing more."""
    reply = await in_memory_app.client.get("/v1/meters?limit=0", headers=auth)
    assert reply.status_code == 400
    assert reply.json() == {
        "success": False,
        "error": {
            "code": "VALIDATION_ERROR",
            "message": "limit: expected a whole number from 1 to 1000; got '0'",
            "details": {"field": "limit"},
        },
        "request_id": reply.headers["x-request-id"],
    }


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Invalid("m"), 400, "VALIDATION_ERROR"),
        (errors.Refused("m"), 400, "INVALID_REQUEST"),
        (errors.Unauthenticated("m"), 401, "UNAUTHORIZED"),
        (errors.Forbidden("m"), 403, "FORBIDDEN"),
        (errors.NotFound("m"), 404, "NOT_FOUND"),
        (MethodNotAllowed("m", details={"allowed": ["GET"]}), 405, "METHOD_NOT_ALLOWED"),
        (NotAcceptable("m"), 406, "NOT_ACCEPTABLE"),
        (errors.RequestTimeout("m"), 408, "REQUEST_TIMEOUT"),
        (errors.Conflict("m"), 409, "CONFLICT"),
        (errors.TooLarge("m"), 413, "PAYLOAD_TOO_LARGE"),
        (errors.UrlTooLong("m"), 414, "URL_TOO_LONG"),
        (errors.HeadersTooLarge("m"), 431, "HEADERS_TOO_LARGE"),
        (errors.MalformedRequest("m"), 400, "MALFORMED_REQUEST"),
        (RateLimited("m"), 429, "RATE_LIMIT_EXCEEDED"),
        (errors.Overloaded("m"), 503, "UNAVAILABLE"),
        (NotReady("m", {}), 503, "NOT_READY"),
        (StoreFailed("secret host"), 503, "UNAVAILABLE"),
        (errors.LogFailed("secret host"), 503, "UNAVAILABLE"),
        (errors.LogGap("secret path"), 500, "INTERNAL_ERROR"),
        (TallyhouseError("secret"), 500, "INTERNAL_ERROR"),
        (ZeroDivisionError("secret"), 500, "INTERNAL_ERROR"),
    ],
)
async def test_every_error_has_its_status(error: Exception, status: int, code: str) -> None:
    """One table decides; the message of an inner failure reveals nothing of the inside."""
    problem = problem_of(error)
    assert (problem.status, problem.code) == (status, code)
    assert "secret" not in problem.message
    assert ("retry-after" in dict(problem.headers).__repr__()) == isinstance(error, errors.Busy | StoreFailed)


def test_the_absence_of_kafka_is_not_that_of_a_store() -> None:
    """The answer names the part that is missing."""
    assert "Kafka" in problem_of(errors.LogFailed("secret host")).message
    assert "a store did not answer" in problem_of(StoreFailed("secret host")).message


async def test_an_unknown_path_is_404(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """In the envelope, with and without a key, for any path."""
    for path in ("/v1", "/v1/meters/", "/v2/events/ingest", "/v1/%00", "/v1/m%C3%A9ters", "/v1/events/ingest/x"):
        for headers in ({}, auth):
            reply = await in_memory_app.client.get(path, headers=headers)
            assert (reply.status_code, reply.json()["error"]["code"]) == (404, "NOT_FOUND")


async def test_a_wrong_method_is_405(in_memory_app: InMemoryApp) -> None:
    """The response names the path's methods."""
    reply = await in_memory_app.client.put("/v1/meters", json={})
    assert (reply.status_code, reply.json()["error"]["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert reply.headers["allow"] == "GET, POST"
    assert (await in_memory_app.client.post("/healthz")).status_code == 405


class LogLines(NullLogger):
    """Keeps the lines logged as exceptions and as warnings."""

    def __init__(self) -> None:
        self.exceptions: list[dict[str, object]] = []
        self.warnings: list[str] = []

    def warning(self, event: str, **fields: object) -> None:
        self.warnings.append(event)

    def exception(self, event: str, **fields: object) -> None:
        self.exceptions.append({"event": event, **fields})


async def test_an_unforeseen_error_is_logged_and_enveloped(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """It is a 500 in the envelope, with its traceback in the logs under the same id."""

    class Broken:
        async def list(self, account: str) -> list[Any]:
            raise RuntimeError("password=hunter2")

    lines = LogLines()
    async with in_memory_app.serve(ports={"meters": Broken()}, logger=lines) as client:
        reply = await client.get("/v1/meters", headers=auth)
    assert reply.status_code == 500
    assert reply.json()["error"]["code"] == "INTERNAL_ERROR"
    assert "hunter2" not in reply.text
    assert [line["request_id"] for line in lines.exceptions] == [reply.headers["x-request-id"]]


@pytest.mark.parametrize("path", ["/v1/meters", "/nope", "/healthz"])
async def test_a_valid_request_id_is_kept(in_memory_app: InMemoryApp, path: str) -> None:
    """The caller's id is in the header and the body; an invalid one is replaced."""
    mine = (await in_memory_app.client.get(path, headers={"x-request-id": "trace-1:a.B_c"})).headers["x-request-id"]
    assert mine == "trace-1:a.B_c"
    for insane in ("", "x" * 129, "a b", "a,b", "é"):
        reply = await in_memory_app.client.get(path, headers=[(b"x-request-id", insane.encode())])
        assert re.fullmatch(r"req_[0-9a-z]{20}", reply.headers["x-request-id"])
        assert reply.json()["request_id"] == reply.headers["x-request-id"]


@given(st.one_of(st.none(), st.binary(max_size=200)))
def test_any_request_id_makes_a_valid_one(given_id: bytes | None) -> None:
    """The id in logs and headers is short and plain; the gateway's own ids never repeat."""
    ids = RequestIds(lambda _: 35**9)
    first, second = ids.adopt(given_id), ids.adopt(given_id)
    assert re.fullmatch(r"[A-Za-z0-9._:-]{1,128}", first)
    assert first != second or first.encode() == given_id


async def test_a_body_that_is_no_json_object_is_refused(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """The refusal states what is wrong with the body."""
    for body in (b"", b"[]", b'"x"', b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}', b"{} {}"):
        reply = await in_memory_app.client.post("/v1/meters", headers=auth, content=body)
        assert reply.status_code == 400
        assert reply.json()["error"]["code"] in ("MALFORMED_JSON", "VALIDATION_ERROR")
    reply = await in_memory_app.client.post("/v1/meters", headers=auth, content=b" " * 300_000)
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")


async def test_a_caller_that_disconnects_is_no_failure() -> None:
    """When the connection is gone before the response, nothing is raised and nothing is logged as a failure."""
    lines = LogLines()
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Response(200, b"{}").send(send)

    async def closed(*message: Any) -> Any:
        sent.append(message)
        raise RuntimeError("the handler is closed")

    edge = RequestMiddleware(
        app, RequestIds(lambda _: 0), default_rate_headers=list, timer=lambda: 0.0, metrics=NullMetrics(), logger=lines
    )
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    await edge(scope, closed, closed)
    assert len(sent) == 1
    assert lines.exceptions == []


async def test_websockets_are_closed(in_memory_app: InMemoryApp) -> None:
    """With the code for a policy violation."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def nothing(*_: Any) -> Any:
        raise AssertionError("not expected to be called")

    edge = RequestMiddleware(
        nothing,
        RequestIds(lambda _: 0),
        default_rate_headers=list,
        timer=lambda: 0.0,
        metrics=NullMetrics(),
        logger=NullLogger(),
    )
    await edge({"type": "websocket"}, nothing, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize(
    ("refusal", "status"),
    [(errors.UrlTooLong("m"), 414), (errors.HeadersTooLarge("m"), 431), (errors.Busy("m"), 503)],
)
async def test_what_the_server_has_refused_is_answered_in_the_envelope(refusal: Exception, status: int) -> None:
    """No route sees it, and no line above the debug level is logged: a flood of such requests is not one of lines."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def nothing(*_: Any) -> Any:
        raise AssertionError("not expected to be called")

    lines = LogLines()
    edge = RequestMiddleware(
        nothing,
        RequestIds(lambda _: 0),
        default_rate_headers=list,
        timer=lambda: 0.0,
        metrics=NullMetrics(),
        logger=lines,
    )
    await edge({"type": "http", "method": "GET", "path": "", "headers": [], "refusal": refusal}, nothing, send)
    assert sent[0]["status"] == status
    assert b'"message":"m"' in sent[1]["body"]
    assert lines.warnings == []


async def test_a_repeated_header_is_refused(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """If it decides something here."""
    twice = [*auth.items(), *auth.items()]
    reply = await in_memory_app.client.get("/v1/meters", headers=twice)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "REPEATED_HEADER")
    reply = await in_memory_app.client.get("/v1/meters", headers=[*auth.items(), ("via", "a"), ("via", "b")])
    assert reply.status_code == 200
