"""What each operation may be refused with."""

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
    404: ("NotFound", "NOT_FOUND", "There is no such thing in this account."),
    406: ("NotAcceptable", "NOT_ACCEPTABLE", "None of the media types in `Accept` can be made."),
    408: ("RequestTimeout", "REQUEST_TIMEOUT", "The body did not come in time."),
    409: ("Conflict", "CONFLICT", "The state of things forbids it, or the Idempotency-Key is another request's."),
    410: ("Gone", "LINK_EXPIRED", "It was good once, and is not any more."),
    413: ("PayloadTooLarge", "PAYLOAD_TOO_LARGE", "The body has more bytes than the limit."),
    429: ("TooManyRequests", "RATE_LIMIT_EXCEEDED", "More requests than the account's limit; come again later."),
    500: ("InternalError", "INTERNAL_ERROR", "Something went wrong on our side."),
    503: ("Unavailable", "UNAVAILABLE", "Not now; come again after `Retry-After` seconds."),
}
_NAMES_OTHERS = frozenset(
    {"customer_id", "plan_code", "target_plan_code", "subscription_id", "previous_subscription_id", "invoice_id"}
)
"""Fields of bodies that name another thing, which may not be there."""


def statuses_of(endpoint: Route) -> list[int]:
    description = endpoint.description
    changes, has_body = endpoint.method != "GET", description.body_type is not None
    found = {401, 403, 429, 500, 503, *description.error_statuses}
    found |= {400, 409} if changes else set()
    found |= {400} if description.query_type is not None else set()
    found |= {400, 408, 413} if has_body else set()
    found |= {404} if "{" in endpoint.path or _names_another(description.body_type) else set()
    return sorted(found)


def statuses_of_public(endpoint: PublicRoute) -> list[int]:
    has_body = bool(endpoint.description.other_bodies)
    found = {500, *endpoint.description.error_statuses}
    found |= {400, 408, 413, 503} if has_body else set()
    found |= {404} if "{" in endpoint.path else set()
    return sorted(found)


def responses(statuses: list[int]) -> dict[str, Any]:
    return {str(status): {"$ref": f"#/components/responses/{_RESPONSES[status][0]}"} for status in statuses}


def components(headers: dict[str, Any]) -> dict[str, Any]:
    """Every refusal, by name."""
    return {name: response(status, headers) for status, (name, _, _) in _RESPONSES.items()}


def scope_of(scope: Scope) -> str:
    return f"Asks for a key with the scope `{scope.value}`."


def response(status: int, headers: dict[str, Any]) -> dict[str, Any]:
    """One refusal, whole."""
    _, code, words = _RESPONSES[status]
    example = example_of(ErrorResponse) | {"error": {"code": code, "message": words}}
    later = {"Retry-After": {"$ref": "#/components/headers/Retry-After"}} if status in (429, 503) else {}
    content = {"schema": schema_of(ErrorResponse), "examples": {code: {"value": example}}}
    return {"description": words, "headers": headers | later, "content": {"application/json": content}}


def _names_another(body_type: Any) -> bool:
    kinds = body_type if isinstance(body_type, tuple) else (body_type,)
    return any(
        field.encode_name in _NAMES_OTHERS
        for kind in kinds
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__name__ != "Event"
        for field in msgspec.structs.fields(kind)
    )
