"""Routes that read and change records: each states its path, its records and its port call."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar, overload

import msgspec

from ingest_gateway.http.envelope import Listed, Response, Success, pagination
from ingest_gateway.http.idempotency import applied_response, command_of
from ingest_gateway.http.request import Request
from ingest_gateway.http.route import Description, Route
from ingest_gateway.http.validation import Record, read_record
from schemas.account import Scope
from schemas.command import Applied, Command
from schemas.ids import AccountId
from schemas.listing import Page

Answer = TypeVar("Answer")
Input = TypeVar("Input")
Item = TypeVar("Item")
Parameters = TypeVar("Parameters", bound=msgspec.Struct)

PathParams = dict[str, str]
Fields = dict[str, Any]


class RequestBody(Generic[Input]):
    """The record that a request's body must be, and the conversion to what the port takes."""

    @overload
    def __init__(self: "RequestBody[Record]", record_type: type[Record], *, optional: bool = False) -> None: ...

    @overload
    def __init__(
        self, record_type: type[Record], convert: Callable[[Record], Input], *, optional: bool = False
    ) -> None: ...

    def __init__(
        self, record_type: type[Any], convert: Callable[[Any], Any] = lambda record: record, *, optional: bool = False
    ) -> None:
        """`convert` also checks what no type can express, and raises Invalid. An optional body may be left out."""
        self.record_type = record_type
        self.optional = optional
        self._convert = convert

    async def read(self, request: Request) -> tuple[Command, Input]:
        """Raises Invalid."""
        document = await request.document(optional=self.optional)
        record: Input = self._convert(read_record(document, self.record_type))
        return command_of(request, document), record


class Resource(Generic[Answer]):
    """What the port answers and how responses show it; its methods make the routes that answer with it."""

    def __init__(self, response_type: type[Success], show: Callable[[Answer], Fields]) -> None:
        """`show` makes the fields of `response_type` other than those of the envelope."""
        self._response_type = response_type
        self._show = show

    @classmethod
    def named(cls, name: str, response_type: type[Success], document: Callable[[Answer], Any]) -> "Resource[Answer]":
        """One record in the field `name`."""
        return cls(response_type, lambda answer: {name: document(answer)})

    def get(
        self,
        path: str,
        summary: str,
        call: Callable[[AccountId, PathParams], Awaitable[Answer]],
        *,
        error_statuses: tuple[int, ...] = (),
    ) -> Route:
        """A route without parameters. It may answer `error_statuses` besides those of every read."""
        description = Description(summary, response_type=self._response_type, error_statuses=error_statuses)

        async def handle(request: Request) -> Response:
            answer = await call(request.account, request.path_params)
            return request.success(**self._show(answer))

        return Route("GET", path, Scope.READ, handle, description)

    def query(
        self,
        path: str,
        summary: str,
        query_type: type[Parameters],
        call: Callable[[AccountId, PathParams, Parameters], Awaitable[Answer]],
        *,
        scope: Scope = Scope.READ,
        operation_id: str = "",
    ) -> Route:
        """A route whose query parameters are a record, such as a listing."""
        description = Description(
            summary, query_type=query_type, response_type=self._response_type, operation_id=operation_id
        )

        async def handle(request: Request) -> Response:
            parameters = request.read_query(query_type)
            answer = await call(request.account, request.path_params, parameters)
            return request.success(**self._show(answer))

        return Route("GET", path, scope, handle, description)

    def change(
        self,
        method: str,
        path: str,
        summary: str,
        body: RequestBody[Input],
        call: Callable[[Command, PathParams, Input], Awaitable[Applied[Answer]]],
        *,
        status: int = 200,
        location: Callable[[Answer], str] | None = None,
    ) -> Route:
        """A change that a body describes."""
        description = Description(
            summary,
            body_type=body.record_type,
            body_optional=body.optional,
            response_type=self._response_type,
            status=status,
        )

        async def handle(request: Request) -> Response:
            command, record = await body.read(request)
            applied = await call(command, request.path_params, record)
            at = None if location is None else location(applied.answer)
            return applied_response(request, applied, http_status=status, location=at, **self._show(applied.answer))

        return Route(method, path, Scope.ADMIN, handle, description)

    def create(
        self,
        path: str,
        summary: str,
        body: RequestBody[Input],
        call: Callable[[Command, PathParams, Input], Awaitable[Applied[Answer]]],
        *,
        location: Callable[[Answer], str] | None = None,
    ) -> Route:
        """A change that makes a record, found at `location` afterwards."""
        return self.change("POST", path, summary, body, call, status=201, location=location)

    def act(
        self,
        method: str,
        path: str,
        summary: str,
        call: Callable[[Command, PathParams], Awaitable[Applied[Answer]]],
    ) -> Route:
        """A change without a body."""

        async def handle(request: Request) -> Response:
            applied = await call(command_of(request), request.path_params)
            return applied_response(request, applied, **self._show(applied.answer))

        return Route(method, path, Scope.ADMIN, handle, Description(summary, response_type=self._response_type))


def list_of(name: str, response_type: type[Success], document: Callable[[Item], Any]) -> Resource[Sequence[Item]]:
    """All records, in the field `name`."""
    return Resource(response_type, lambda items: {name: [document(item) for item in items]})


def page_of(name: str, response_type: type[Listed], document: Callable[[Any], Any]) -> Resource[Page]:
    """One page of records, in the field `name`."""

    def show(page: Page) -> Fields:
        return {name: [document(item) for item in page.items], "pagination": pagination(page.next_cursor)}

    return Resource(response_type, show)
