"""The HTTP application: parses requests, runs statements on the engine's threads, and writes the responses."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from pathlib import Path
from time import perf_counter
from typing import Protocol

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from schemas.errors import Busy, HeadersTooLarge, RequestTimeout, UrlTooLong
from stream_processors.backends.sql.chdb_statements import StatementFailed
from stream_processors.clickhouse_server.bodies import Body, BodyLimits, open_body_file, receive
from stream_processors.clickhouse_server.deadline import Deadline
from stream_processors.clickhouse_server.request import Caller, QueryRequest, form_fields, read_request
from stream_processors.clickhouse_server.responses import QueryOutcome, error_response, outcome_response

LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")
"""The accepted Host headers: a page in a browser can reach a loopback port, but not under one of these names."""

_CANCEL_SECONDS = 0.5
"""Seconds between two attempts to cancel: a statement that has just started is not found at once."""


class Access(Protocol):
    """Runs the statements that a client is allowed to run."""

    def run(self, query: QueryRequest, body: Body, deadline: Deadline) -> QueryOutcome:
        """Runs the statement, and blocks until it is done. Raises StatementFailed."""
        ...

    def cancel(self, mark: str) -> None:
        """Ends the statement if possible, because its client has disconnected."""
        ...


CallerCheck = Callable[[Caller], Awaitable[None]]
"""Raises StatementFailed for a caller without access."""


class ServerContext(msgspec.Struct, frozen=True, kw_only=True):
    """The parts and settings of one server."""

    access: Access
    check_caller: CallerCheck
    database: str
    threads: Executor
    spool: Path
    limits: BodyLimits
    version: str
    timezone: str
    name: str


def create_app(context: ServerContext) -> Starlette:
    """The application: `GET /ping` is the health check, `/` takes statements."""
    handler = QueryHandler(context)
    return Starlette(
        routes=[
            Route("/ping", _ping),
            Route("/", handler.answer, methods=["GET", "POST"]),
        ],
        middleware=[
            Middleware(RefusedRequests),
            Middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK, www_redirect=False),
        ],
    )


_SENT_ONCE = frozenset({b"authorization", b"content-encoding", b"content-length", b"host", b"x-clickhouse-key"})
_REFUSAL_STATUSES = {RequestTimeout: 408, UrlTooLong: 414, HeadersTooLarge: 431, Busy: 503}


class RefusedRequests:
    """Answers requests that the HTTP server has refused: it puts the error into the scope under `refusal`.

    Refuses a repeated header that decides about access or the body.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = scope.get("refusal")
        if refusal is not None:
            status = _REFUSAL_STATUSES.get(type(refusal), 400)
            await PlainTextResponse(f"{refusal}\n", status)(scope, receive, send)
            return
        once = [name for name, _ in scope["headers"] if name in _SENT_ONCE]
        if len(once) != len(set(once)):
            await PlainTextResponse("a header is sent twice; send it once\n", 400)(scope, receive, send)
            return
        await self._app(scope, receive, send)


async def _ping(_: Request) -> Response:
    return PlainTextResponse("Ok.\n")


class QueryHandler:
    """Answers statements, as many at a time as there are threads; further ones queue."""

    def __init__(self, context: ServerContext) -> None:
        self._context = context

    async def answer(self, request: Request) -> Response:
        """A result is complete before its first byte is sent, so that its status is final."""
        if request.method == "GET" and not request.url.query:
            return await _ping(request)
        headers = {
            "X-ClickHouse-Server-Display-Name": self._context.name,
            "X-ClickHouse-Timezone": self._context.timezone,
        }
        accepted = ""
        try:
            query = read_request(request.query_params.multi_items(), request.headers, self._context.database)
            headers["X-ClickHouse-Query-Id"] = query.query_id
            accepted = request.headers.get("accept-encoding", "") if query.compression else ""
            await self._context.check_caller(query.caller)
            outcome = await self._receive(request, query)
            return outcome_response(outcome, headers, accepted)
        except StatementFailed as error:
            return error_response(error, self._context.version, headers, accepted)
        except ClientDisconnect:
            return Response()  # no client reads it

    async def _receive(self, request: Request, query: QueryRequest) -> QueryOutcome:
        context, content_type = self._context, request.headers.get("content-type", "")
        with open_body_file(context.spool, context.limits) as file:
            await receive(file, request.stream(), context.limits.stored)
            if content_type.startswith("multipart/form-data"):
                fields = [*request.query_params.multi_items(), *form_fields(content_type, file.read())]
                query = read_request(fields, request.headers, context.database)
            body = Body(file, request.headers.get("content-encoding", ""), context.limits)
            return await self._run(request, query, body)

    async def _run(self, request: Request, query: QueryRequest, body: Body) -> QueryOutcome:
        """Returns only when the statement, which reads the body, has ended. A disconnect of the client cancels it."""
        context, mark = self._context, secrets.token_hex(8)
        deadline = Deadline(mark=mark, may_write=request.method == "POST", since=perf_counter())
        work = context.threads.submit(context.access.run, query, body, deadline)
        done, disconnected = asyncio.wrap_future(work), asyncio.ensure_future(_wait_for_disconnect(request))
        try:
            await asyncio.wait((done, disconnected), return_when=asyncio.FIRST_COMPLETED)
            while not work.done() and not work.cancel():
                await asyncio.to_thread(context.access.cancel, mark)
                await asyncio.wait((done,), timeout=_CANCEL_SECONDS)
        finally:
            disconnected.cancel()
        if work.cancelled():
            raise ClientDisconnect
        return await done


async def _wait_for_disconnect(request: Request) -> None:
    """Returns when the client has disconnected."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
