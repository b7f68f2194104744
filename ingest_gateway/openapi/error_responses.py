"""The error responses that each operation may give."""

from typing import Any

import msgspec

from ingest_gateway.http.envelope import ErrorResponse
from ingest_gateway.http.route import PublicRoute, Route
from ingest_gateway.openapi.examples import example_of
from ingest_gateway.openapi.json_schema import schema_of
from schemas.account import Scope

_RESPONSES = {
    400: ("BadRequest", "VALIDATION_ERROR", "The request breaks a rule; the message says which, and where."),
    401: ("Unauthorized", "INVALID_API_KEY", "No API key, or one that is unknown, revoked or expired."),
    403: ("Forbidden", "FORBIDDEN", "The key lacks the scope."),
    404: ("NotFound", "NOT_FOUND", "This account has no such resource."),
    406: ("NotAcceptable", "NOT_ACCEPTABLE", "The service produces none of the media types in `Accept`."),
    408: ("RequestTimeout", "REQUEST_TIMEOUT", "The request did not arrive in time."),
    409: (
        "Conflict",
        "CONFLICT",
        "The resource's state forbids it, or the Idempotency-Key belongs to another request.",
    ),
    410: ("Gone", "LINK_EXPIRED", "The link was valid once and has expired."),
    413: (
        "PayloadTooLarge",
        "PAYLOAD_TOO_LARGE",
        "The body has more bytes than the limit, or events that are too much work for one request.",
    ),
    414: ("UrlTooLong", "URL_TOO_LONG", "The URL has more bytes than the limit."),
    422: ("Unanswerable", "UNANSWERABLE", "The answer takes more than one request may take; ask for less."),
    429: (
        "TooManyRequests",
        "RATE_LIMIT_EXCEEDED",
        "More requests, or more work that waits, than the account's limit; retry later.",
    ),
    431: ("HeadersTooLarge", "HEADERS_TOO_LARGE", "More headers, or longer ones, than the limit."),
    500: ("InternalError", "INTERNAL_ERROR", "Something went wrong on our side."),
    503: ("Unavailable", "UNAVAILABLE", "Temporarily unavailable; retry after `Retry-After` seconds."),
}
_REFERENCES = frozenset(
    {"customer_id", "plan_code", "target_plan_code", "subscription_id", "previous_subscription_id", "invoice_id"}
)
"""Fields of bodies that name another resource, which may not exist."""


_OF_THE_EDGE = frozenset({400, 408, 414, 431, 503})
"""Any request may break the rules of HTTP, or meet a limit of connections, bytes or time."""


def statuses_of(endpoint: Route) -> list[int]:
    description = endpoint.description
    changes, has_body = endpoint.method != "GET", description.body_type is not None
    statuses = {*_OF_THE_EDGE, 401, 403, 429, 500, *description.error_statuses}
    statuses |= {409} if changes else set()
    statuses |= {413} if has_body else set()
    statuses |= {404} if "{" in endpoint.path or _names_another(description.body_type) else set()
    return sorted(statuses)


def statuses_of_public(endpoint: PublicRoute) -> list[int]:
    has_body = bool(endpoint.description.other_bodies)
    statuses = {*_OF_THE_EDGE, 500, *endpoint.description.error_statuses}
    statuses |= {413} if has_body else set()
    statuses |= {404} if "{" in endpoint.path else set()
    return sorted(statuses)


def responses(statuses: list[int]) -> dict[str, Any]:
    return {str(status): {"$ref": f"#/components/responses/{_RESPONSES[status][0]}"} for status in statuses}


def components(headers: dict[str, Any]) -> dict[str, Any]:
    """Every error response, by name."""
    return {name: response(status, headers) for status, (name, _, _) in _RESPONSES.items()}


def scope_of(scope: Scope) -> str:
    return f"Needs a key with the scope `{scope.value}`."


def response(status: int, headers: dict[str, Any]) -> dict[str, Any]:
    """One error response with its example."""
    _, code, words = _RESPONSES[status]
    example = example_of(ErrorResponse) | {"error": {"code": code, "message": words}}
    later = {"Retry-After": {"$ref": "#/components/headers/Retry-After"}} if status in (429, 503) else {}
    content = {"schema": schema_of(ErrorResponse), "examples": {code: {"value": example}}}
    return {"description": words, "headers": headers | later, "content": {"application/json": content}}


def _names_another(body_type: Any) -> bool:
    kinds = body_type if isinstance(body_type, tuple) else (body_type,)
    return any(
        field.encode_name in _REFERENCES
        for kind in kinds
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__name__ != "Event"
        for field in msgspec.structs.fields(kind)
    )
