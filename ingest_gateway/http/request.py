"""One authenticated request: its key, headers, path, query and body."""

from decimal import Decimal
from typing import Any

import msgspec
from starlette.types import Receive, Scope

from ingest_gateway.http.envelope import Response, success
from ingest_gateway.http.errors import Headers
from ingest_gateway.http.memory_budget import MemoryBudget, MemoryShare
from ingest_gateway.http.query import read_parameters
from ingest_gateway.http.request_body import read_body
from ingest_gateway.http.validation import Record, read_query
from schemas.account import ApiKey
from schemas.errors import Invalid, NotFound
from schemas.ids import AccountId

DOCUMENT_BYTES = 256 * 1024
"""The limit of bodies other than events."""

# Numbers keep every digit: a filter of a meter compares events with them.
_decoder = msgspec.json.Decoder(float_hook=Decimal)


class Request:
    """One request of a known key, over the ASGI scope. Nothing is decoded in advance."""

    __slots__ = ("_receive", "_scope", "body_seconds", "budget", "key")

    def __init__(self, scope: Scope, receive: Receive, key: ApiKey, budget: MemoryBudget, body_seconds: float) -> None:
        self._scope = scope
        self._receive = receive
        self.key = key
        self.budget = budget
        self.body_seconds = body_seconds

    @property
    def account(self) -> AccountId:
        return self.key.account

    @property
    def request_id(self) -> str:
        request_id: str = self._scope["request_id"]
        return request_id

    @property
    def headers(self) -> dict[bytes, bytes]:
        headers: dict[bytes, bytes] = self._scope["header"]
        return headers

    @property
    def path_params(self) -> dict[str, str]:
        """The variable parts of the path. Raises NotFound for a NUL, which no store can look for."""
        parts: dict[str, str] = self._scope["path_params"]
        if any("\x00" in part for part in parts.values()):
            raise NotFound("there is nothing at a path that holds a NUL character")
        return parts

    @property
    def method(self) -> str:
        method: str = self._scope["method"]
        return method

    @property
    def path(self) -> str:
        path: str = self._scope["path"]
        return path

    @property
    def has_query(self) -> bool:
        return bool(self._scope["query_string"])

    def read_parameters(self, kind: type[Record]) -> Record:
        """The query parameters as their record. Raises Invalid with the first error."""
        return read_parameters(self._scope["query_string"], kind)

    def read_query(self, kind: type[Record]) -> Record:
        """The query parameters as their record. Raises Invalid with every error."""
        return read_query(self._scope["query_string"], kind)

    async def read(self, share: MemoryShare, limit: int) -> bytes:
        reply_headers: Headers = self._scope["reply_headers"]
        return await read_body(
            self._receive, self.headers, reply_headers, share, limit=limit, seconds=self.body_seconds
        )

    async def document(self, *, optional: bool = False) -> dict[str, Any]:
        """The body as a JSON object; an optional body may be empty. Raises Invalid and TooLarge."""
        with self.budget.share() as share:
            body = await self.read(share, DOCUMENT_BYTES)
        if optional and not body:
            return {}
        try:
            document = _decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Invalid(f"the body is not JSON: {error}", code="MALFORMED_JSON") from error
        if not isinstance(document, dict):
            raise Invalid('the body must be a JSON object, such as {"name": "…"}')
        return document

    def success(self, *, http_status: int = 200, headers: Headers | None = None, **resources: Any) -> Response:
        return success(self.request_id, resources, status=http_status, headers=headers)
