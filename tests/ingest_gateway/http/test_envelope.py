"""The shape of every answer, good or bad."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_gateway.http.envelope import Response
from ingest_gateway.http.errors import MethodNotAllowed, NotAcceptable, NotReady, SlowBody, problem_of
from ingest_gateway.http.middleware import RequestIds, RequestMiddleware
from schemas import errors
from schemas.errors import Invalid, RateLimited, StoreFailed, TallyhouseError
from schemas.logger import NullLogger
from schemas.metrics import NullMetrics
from tests.ingest_gateway.conftest import InMemoryApp

pytestmark = pytest.mark.anyio


async def test_the_shape_of_success(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """`success`, the resource under its name, and the request id: nothing else."""
    reply = await in_memory_app.client.get("/v1/meters", headers=auth)
    assert reply.json() == {
        "success": True,
        "meters": [],
        "pagination": {"has_more": False, "next_cursor": None},
        "request_id": reply.headers["x-request-id"],
    }
    assert reply.headers["content-type"] == "application/json"


async def test_the_shape_of_failure(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """`success`, the error with code, message and details, and the request id: nothing else."""
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
        (SlowBody("m"), 408, "REQUEST_TIMEOUT"),
        (errors.Conflict("m"), 409, "CONFLICT"),
        (errors.TooLarge("m"), 413, "PAYLOAD_TOO_LARGE"),
        (RateLimited("m"), 429, "RATE_LIMIT_EXCEEDED"),
        (errors.Overloaded("m"), 503, "UNAVAILABLE"),
        (NotReady("m", {}), 503, "NOT_READY"),
        (StoreFailed("secret host"), 503, "UNAVAILABLE"),
        (errors.LogGap("secret path"), 500, "INTERNAL_ERROR"),
        (TallyhouseError("secret"), 500, "INTERNAL_ERROR"),
        (ZeroDivisionError("secret"), 500, "INTERNAL_ERROR"),
    ],
)
async def test_every_error_has_its_status(error: Exception, status: int, code: str) -> None:
    """One table decides; what is told of inner failures tells nothing of the inside."""
    problem = problem_of(error)
    assert (problem.status, problem.code) == (status, code)
    assert "secret" not in problem.message
    assert ("retry-after" in dict(problem.headers).__repr__()) == isinstance(error, errors.Busy | StoreFailed)


async def test_what_is_not_there_is_404(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """An unknown path is answered in the envelope, with and without a key, whatever stands in it."""
    for path in ("/v1", "/v1/meters/", "/v2/events/ingest", "/v1/%00", "/v1/m%C3%A9ters", "/v1/events/ingest/x"):
        for headers in ({}, auth):
            reply = await in_memory_app.client.get(path, headers=headers)
            assert (reply.status_code, reply.json()["error"]["code"]) == (404, "NOT_FOUND")


async def test_a_wrong_method_is_405(in_memory_app: InMemoryApp) -> None:
    """A path that is there answers other methods with those it knows."""
    reply = await in_memory_app.client.put("/v1/meters", json={})
    assert (reply.status_code, reply.json()["error"]["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert reply.headers["allow"] == "GET, POST"
    assert (await in_memory_app.client.post("/healthz")).status_code == 405


class LogLines(NullLogger):
    """Keeps what was logged as an exception."""

    def __init__(self) -> None:
        self.exceptions: list[dict[str, object]] = []

    def exception(self, event: str, **fields: object) -> None:
        self.exceptions.append({"event": event, **fields})


async def test_a_surprise_is_logged_and_enveloped(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """A failure that nobody foresaw is a 500 in the envelope, with its traceback in the logs under the same id."""

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
async def test_a_sane_request_id_is_kept(in_memory_app: InMemoryApp, path: str) -> None:
    """The caller's own id comes back in the header and the body; ours where theirs is none."""
    mine = (await in_memory_app.client.get(path, headers={"x-request-id": "trace-1:a.B_c"})).headers["x-request-id"]
    assert mine == "trace-1:a.B_c"
    for insane in ("", "x" * 129, "a b", "a,b", "é"):
        reply = await in_memory_app.client.get(path, headers=[(b"x-request-id", insane.encode())])
        assert re.fullmatch(r"req_[0-9a-z]{20}", reply.headers["x-request-id"])
        assert reply.json()["request_id"] == reply.headers["x-request-id"]


@given(st.one_of(st.none(), st.binary(max_size=200)))
def test_any_request_id_makes_a_sane_one(given_id: bytes | None) -> None:
    """Whatever a caller sends, what goes into logs and headers is short and plain; ours never repeat."""
    ids = RequestIds(lambda _: 35**9)
    first, second = ids.adopt(given_id), ids.adopt(given_id)
    assert re.fullmatch(r"[A-Za-z0-9._:-]{1,128}", first)
    assert first != second or first.encode() == given_id


async def test_a_key_in_the_body_s_place_is_refused_cleanly(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """Bodies that are not a JSON object are told what is wrong with them."""
    for body in (b"", b"[]", b'"x"', b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}', b"{} {}"):
        reply = await in_memory_app.client.post("/v1/meters", headers=auth, content=body)
        assert reply.status_code == 400
        assert reply.json()["error"]["code"] in ("MALFORMED_JSON", "VALIDATION_ERROR")
    reply = await in_memory_app.client.post("/v1/meters", headers=auth, content=b" " * 300_000)
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")


async def test_who_hangs_up_before_the_answer_is_no_failure() -> None:
    """A connection that is gone when the answer is sent ends quietly: nothing is raised, nothing logged as ours."""
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


async def test_other_protocols_are_turned_away(in_memory_app: InMemoryApp) -> None:
    """A websocket is closed politely."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def nothing(*_: Any) -> Any:
        raise AssertionError("nobody may be asked")

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
