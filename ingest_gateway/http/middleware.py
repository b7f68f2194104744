"""The outermost middleware: request ids, error responses, request metrics and logs."""

import re
from collections import Counter as Counts
from collections.abc import Callable
from contextlib import suppress
from itertools import count

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingest_gateway.http.envelope import failure
from ingest_gateway.http.errors import ClientDisconnected, Headers, Problem, problem_of
from schemas.errors import MalformedRequest
from schemas.ids import Randomness, RequestId, base36
from schemas.logger import CauseLog, Logger
from schemas.metrics import Counter, Histogram, Metrics

REQUEST_ID_HEADER = b"x-request-id"

_SAFE = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_START_DIGITS = 12
_COUNT_DIGITS = 8


_SENT_ONCE = frozenset(
    {
        b"accept",
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"expect",
        b"host",
        b"idempotency-key",
        b"origin",
        b"sec-fetch-site",
        b"transfer-encoding",
        REQUEST_ID_HEADER,
    }
)
"""The headers that decide something here: a proxy might judge by the first of two, and this service by the last."""


def check_head(scope: Scope) -> None:
    """Raises the server's refusal, or MalformedRequest if a header that decides something is repeated."""
    if "refusal" in scope:
        raise scope["refusal"]
    if len(scope["header"]) == len(scope["headers"]):
        return
    for name, times in Counts(name for name, _ in scope["headers"] if name in _SENT_ONCE).items():
        if times > 1:
            text = name.decode()
            raise MalformedRequest(
                f"the header {text} is sent {times} times; send it once",
                code="REPEATED_HEADER",
                details={"header": text},
            )


class RequestIds:
    """`req_`, twelve random characters of this process, eight digits of a counter: unique, with one random number."""

    def __init__(self, below: Randomness) -> None:
        self._start = "req_" + base36(below(36**_START_DIGITS), _START_DIGITS)
        self._numbers = count()

    def new(self) -> RequestId:
        return RequestId(self._start + format(next(self._numbers), f"0{_COUNT_DIGITS}x"))

    def adopt(self, given: bytes | None) -> RequestId:
        """The caller's id if a log line and a header can hold it unchanged, otherwise a new one."""
        if given is None or _SAFE.fullmatch(given) is None:
            return self.new()
        return RequestId(given.decode())


_GONE = 499
_INTERNAL_ERROR = 500
_NO_ROUTE = "(none)"


class RequestMiddleware:
    """Adds to the scope `request_id`, `header` (by name) and `reply_headers`, which every response carries.

    Answers a request with the error that the server has put into its scope under `refusal`. A header of
    `_SENT_ONCE` that is repeated is refused.

    A response without the scope's mark `rated` carries the rate headers of an untouched limit.
    """

    def __init__(
        self,
        app: ASGIApp,
        request_ids: RequestIds,
        *,
        default_rate_headers: Callable[[], Headers],
        timer: Callable[[], float],
        metrics: Metrics,
        logger: Logger,
        bind_request: Callable[[str], object] | None = None,
    ) -> None:
        """`bind_request` binds the request id to every log line of the task."""
        self._app = app
        self._request_ids = request_ids
        self._default_rate_headers = default_rate_headers
        self._timer = timer
        self._metrics = metrics
        self._logger = logger
        self._causes = CauseLog(logger, timer)
        self._bind_request = bind_request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._handle_non_http(scope, receive, send)
            return
        started = self._timer()
        header = scope["header"] = dict(scope["headers"])
        request_id = scope["request_id"] = self._request_ids.adopt(header.get(REQUEST_ID_HEADER))
        if self._bind_request is not None:
            self._bind_request(request_id)
        extra: Headers = [(REQUEST_ID_HEADER, request_id.encode())]
        scope["reply_headers"] = extra
        status = 0

        async def reply(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                rate = () if "rated" in scope else self._default_rate_headers()
                message["headers"] = [*message["headers"], *extra, *rate]
            try:
                await send(message)
            except (OSError, RuntimeError) as error:
                raise ClientDisconnected from error

        try:
            check_head(scope)
            await self._app(scope, receive, reply)
        except ClientDisconnected as gone:
            status = _GONE
            self._logger.debug("the caller closed the connection", request_id=request_id, reason=repr(gone.__cause__))
        except Exception as error:
            if status:
                raise  # the response has begun: the server can only close the connection
            problem = problem_of(error)
            if problem.status == _INTERNAL_ERROR:
                self._logger.exception("a request failed unexpectedly", **_request_fields(scope))
            else:
                self._log_error(error, problem, scope)
            with suppress(ClientDisconnected):
                await failure(request_id, problem).send(reply)
        finally:
            self._measure(scope, status, self._timer() - started)

    def _log_error(self, error: Exception, problem: Problem, scope: Scope) -> None:
        """Logs the service's own failures, one line for a cause, and refused requests at the debug level."""
        if problem.status > _INTERNAL_ERROR and "refusal" not in scope:
            route = _route_of(scope)
            self._causes.failed(route, "requests cannot be served", str(error), **_request_fields(scope))
        else:
            self._logger.debug("a request was refused", reason=str(error), **_request_fields(scope))

    async def _handle_non_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _measure(self, scope: Scope, status: int, seconds: float) -> None:
        route = _route_of(scope)
        if self._causes.is_failing and status < _INTERNAL_ERROR:
            self._causes.recovered(route, "requests are served again")
        self._metrics.count(Counter.REQUESTS, 1, route, scope["method"], str(status))
        self._metrics.observe(Histogram.REQUEST_SECONDS, seconds, route)


def _route_of(scope: Scope) -> str:
    path: str = getattr(scope.get("route"), "path", _NO_ROUTE)
    return path


def _request_fields(scope: Scope) -> dict[str, str]:
    return {"request_id": scope["request_id"], "method": scope["method"], "path": scope["path"]}
