"""Parses a request: the statement, its settings and parameters, and the caller."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from uuid import uuid4

import msgspec

from stream_processors.clickhouse_server.errors import BAD_ARGUMENTS, NOT_IMPLEMENTED, clickhouse_error

_IGNORED = frozenset(
    {
        "add_http_cors_header",
        "buffer_size",
        "client_protocol_version",
        "close_session",
        "quota_key",
        "session_id",
        "session_timeout",
        "stacktrace",
        "user",
        "wait_end_of_query",
    }
)
"""Parameters about the client and its connection that have no effect here: results are always sent complete, and a
session would hold nothing, because SET, USE and temporary tables are refused."""

_REFUSED = {
    "decompress": "Send compressed bodies with Content-Encoding.",
    "compress": "Request compressed answers with Accept-Encoding and enable_http_compression=1.",
    "role": "There are no roles here.",
    "session_check": "There are no sessions here.",
}


class Caller(NamedTuple):
    """The sender of a request. User names have no meaning here."""

    password: str | None
    origin: str | None
    """The Origin header, which is set if a page in a browser sent the request."""


class QueryRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One statement from URL, headers and form fields. The body may continue its text."""

    text: str
    database: str
    format: str
    query_id: str
    settings: Mapping[str, str]
    parameters: Mapping[str, str]
    compression: bool
    caller: Caller


def read_request(fields: Iterable[tuple[str, str]], headers: Mapping[str, str], database: str) -> QueryRequest:
    """Parses the fields of a request; the last value of a repeated name applies. Raises StatementFailed."""
    settings: dict[str, str] = {}
    parameters: dict[str, str] = {}
    known = {"query": "", "database": "", "default_format": "", "query_id": "", "password": ""}
    for name, value in fields:
        if name.startswith("param_"):
            parameters[name.removeprefix("param_")] = value
        elif name in known:
            known[name] = value
        elif name in _REFUSED:
            if value not in ("", "0"):
                raise clickhouse_error(NOT_IMPLEMENTED, f"{name}={value} is not supported. {_REFUSED[name]}")
        elif name not in _IGNORED:
            settings[name] = value
    return QueryRequest(
        text=known["query"],
        database=known["database"] or headers.get("x-clickhouse-database", "") or database,
        format=known["default_format"] or headers.get("x-clickhouse-format", "") or "TabSeparated",
        query_id=known["query_id"] or str(uuid4()),
        settings=settings,
        parameters=parameters,
        compression=settings.get("enable_http_compression") in ("1", "true"),
        caller=Caller(_password(headers) or known["password"] or None, headers.get("origin")),
    )


def _password(headers: Mapping[str, str]) -> str:
    if "x-clickhouse-key" in headers:
        return headers["x-clickhouse-key"]
    kind, _, rest = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return rest.strip()
    if kind.lower() != "basic":
        return ""
    try:
        return base64.b64decode(rest.strip(), validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError) as error:
        raise clickhouse_error(BAD_ARGUMENTS, "The Authorization header is not user:password in Base64.") from error


def form_fields(content_type: str, body: bytes) -> list[tuple[str, str]]:
    """The fields of a multipart form, in which clients send parameters that are too long for a URL."""
    _, _, boundary = content_type.partition("boundary=")
    fields = []
    for part in body.split(b"--" + boundary.strip('" ').encode())[1:-1]:
        head, _, value = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        disposition = head.decode()
        if "filename=" in disposition:
            raise clickhouse_error(NOT_IMPLEMENTED, "External tables are not supported: use a parameter of type Array.")
        _, _, name = disposition.partition('name="')
        fields.append((name.partition('"')[0], value.removesuffix(b"\r\n").decode()))
    return fields
