"""The HTTP application: takes requests apart, hands them to the engine's threads, words the answers."""

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

from stream_processors.backends.sql.chdb_statements import StatementFailed
from stream_processors.clickhouse_server.bodies import Body, BodyLimits, kept, receive
from stream_processors.clickhouse_server.deadline import Turn
from stream_processors.clickhouse_server.outcome import Outcome
from stream_processors.clickhouse_server.request import Asked, Caller, form_fields, read_request
from stream_processors.clickhouse_server.responses import error_response, outcome_response

LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")
"""A page in a browser on this machine can reach a loopback port, but not under such a name."""

_CANCEL_SECONDS = 0.5
"""Between two tries to cancel: a statement that has only just begun is not found at the first."""


class Access(Protocol):
    """What may be asked for."""

    def run(self, asked: Asked, body: Body, turn: Turn) -> Outcome:
        """Blocks until the statement is done."""
        ...

    def cancel(self, mark: str) -> None:
        """Nobody waits for the statement any more."""
        ...


Admission = Callable[[Caller], Awaitable[None]]
"""Raises StatementFailed for whom it does not let in."""


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint is made of."""

    access: Access
    admit: Admission
    database: str
    threads: Executor
    spool: Path
    limits: BodyLimits
    version: str
    timezone: str
    name: str


def create_app(served: Served) -> Starlette:
    """`GET /ping` asks for life; everything else goes to `/`."""
    endpoint = Endpoint(served)
    return Starlette(
        routes=[
            Route("/ping", _alive),
            Route("/", endpoint.answer, methods=["GET", "POST"]),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK, www_redirect=False)],
    )


async def _alive(_: Request) -> Response:
    return PlainTextResponse("Ok.\n")


class Endpoint:
    """Answers statements, as many at a time as there are threads; the others wait."""

    def __init__(self, served: Served) -> None:
        self._served = served

    async def answer(self, request: Request) -> Response:
        """Every answer is whole before its first byte is sent, so its status is the truth."""
        if request.method == "GET" and not request.url.query:
            return await _alive(request)
        headers = {
            "X-ClickHouse-Server-Display-Name": self._served.name,
            "X-ClickHouse-Timezone": self._served.timezone,
        }
        accepted = ""
        try:
            asked = read_request(request.query_params.multi_items(), request.headers, self._served.database)
            headers["X-ClickHouse-Query-Id"] = asked.query_id
            accepted = request.headers.get("accept-encoding", "") if asked.compression else ""
            await self._served.admit(asked.caller)
            outcome = await self._receive(request, asked)
            return outcome_response(outcome, headers, accepted)
        except StatementFailed as error:
            return error_response(error, self._served.version, headers, accepted)
        except ClientDisconnect:
            return Response()  # which nobody reads

    async def _receive(self, request: Request, asked: Asked) -> Outcome:
        served, content_type = self._served, request.headers.get("content-type", "")
        with kept(served.spool, served.limits) as file:
            await receive(file, request.stream(), served.limits.stored)
            if content_type.startswith("multipart/form-data"):
                fields = [*request.query_params.multi_items(), *form_fields(content_type, file.read())]
                asked = read_request(fields, request.headers, served.database)
            body = Body(file, request.headers.get("content-encoding", ""), served.limits)
            return await self._run(request, asked, body)

    async def _run(self, request: Request, asked: Asked, body: Body) -> Outcome:
        """Leaves only when the statement has ended, for it reads the body; a statement nobody waits for ends early."""
        served, mark = self._served, secrets.token_hex(8)
        turn = Turn(mark=mark, may_write=request.method == "POST", since=perf_counter())
        work = served.threads.submit(served.access.run, asked, body, turn)
        done, gone = asyncio.wrap_future(work), asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait((done, gone), return_when=asyncio.FIRST_COMPLETED)
            while not work.done() and not work.cancel():
                await asyncio.to_thread(served.access.cancel, mark)
                await asyncio.wait((done,), timeout=_CANCEL_SECONDS)
        finally:
            gone.cancel()
        if work.cancelled():
            raise ClientDisconnect
        return await done


async def _gone(request: Request) -> None:
    """Returns when the client has hung up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
