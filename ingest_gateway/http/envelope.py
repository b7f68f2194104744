"""The response envelope: success, failure and pagination, as bytes and as the documents that describe them."""

from decimal import Decimal
from typing import Annotated, Any

import msgspec
import orjson
from msgspec import UNSET, Meta
from starlette.types import Send

from ingest_gateway.http.errors import Headers, Problem
from schemas.quantity import to_text

JSON = b"application/json"
_NO_CONTENT = 204
_NO_STORE = (b"cache-control", b"no-store")


class Response:
    """A whole HTTP response: one status, one body. No cache stores it, unless its headers permit that."""

    __slots__ = ("body", "headers", "media_type", "status")

    def __init__(self, status: int, body: bytes, media_type: bytes = JSON, headers: Headers | None = None) -> None:
        self.status = status
        self.body = body
        self.media_type = media_type
        self.headers = headers

    async def send(self, send: Send) -> None:
        headers: Headers = [(b"content-length", b"%d" % len(self.body))]
        if self.status != _NO_CONTENT:
            headers.append((b"content-type", self.media_type))
        if self.headers:
            headers += self.headers
        if not self.headers or all(name != b"cache-control" for name, _ in self.headers):
            headers.append(_NO_STORE)
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def success(
    request_id: str, resources: dict[str, Any], *, status: int = 200, headers: Headers | None = None
) -> Response:
    body = orjson.dumps({"success": True, **resources, "request_id": request_id}, default=_plain)
    return Response(status, body, headers=headers)


def failure(request_id: str, problem: Problem) -> Response:
    error: dict[str, Any] = {"code": problem.code, "message": problem.message}
    if problem.details is not None:  # The published schema allows any value there but null.
        error["details"] = problem.details
    body = orjson.dumps({"success": False, "error": error, "request_id": request_id}, default=_plain)
    return Response(problem.status, body, headers=problem.headers)


def pagination(next_cursor: str | None) -> dict[str, Any]:
    """The field `pagination` of a listing."""
    return {"has_more": next_cursor is not None, "next_cursor": next_cursor}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return to_text(value)
    raise TypeError(f"{type(value).__name__} cannot be written to a response")


class Success(msgspec.Struct, kw_only=True):
    """The response to a successful request."""

    success: bool
    request_id: str


class Pagination(msgspec.Struct, kw_only=True):
    """The position in a listing."""

    has_more: bool
    next_cursor: str | None


class Listed(Success, kw_only=True):
    """One page of a listing."""

    pagination: Pagination


class ErrorResponseError(msgspec.Struct, kw_only=True):
    """What is wrong, where, and how to mend it."""

    code: Annotated[str, Meta(description="For programs.")]
    message: Annotated[str, Meta(description="For people.")]
    details: Annotated[Any, Meta(description="Details such as `{field}`, or the list of all mistakes.")] = UNSET


class ErrorResponse(msgspec.Struct, kw_only=True):
    """The response to a refused or failed request."""

    success: bool
    error: ErrorResponseError
    request_id: Annotated[str, Meta(description="Request ID for tracing")]


class Deleted(Success, kw_only=True):
    """The id of a deleted record."""

    id: str
    deleted: bool
