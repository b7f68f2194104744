"""What each error looks like from outside: its status, its code, its headers. The one table of them."""

from typing import Any, NamedTuple

from schemas.errors import (
    Busy,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Refused,
    StoreFailed,
    TooLarge,
    Unauthenticated,
)

Headers = list[tuple[bytes, bytes]]


class MethodNotAllowed(Refused):
    """The path is there, but not for this method."""

    code = "METHOD_NOT_ALLOWED"


class NotAcceptable(Refused):
    """None of the media types that the caller accepts can be made."""

    code = "NOT_ACCEPTABLE"


class SlowBody(Refused):
    """The body did not come in time."""

    code = "REQUEST_TIMEOUT"


class NotReady(Busy):
    """Some part of the service does not work right now."""

    code = "NOT_READY"

    def __init__(self, message: str, details: Any) -> None:
        super().__init__(message)
        self.details = details


class ClientDisconnected(Exception):
    """Whoever asked has hung up: there is nobody to answer."""


STATUSES: dict[type[BaseException], int] = {
    Refused: 400,
    Invalid: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    NotAcceptable: 406,
    SlowBody: 408,
    Conflict: 409,
    TooLarge: 413,
    RateLimited: 429,
    Busy: 503,
    StoreFailed: 503,
    Exception: 500,
}
"""The nearest class in the error's ancestry decides; what nobody foresaw is a 500."""


class Problem(NamedTuple):
    """An error, ready to be told."""

    status: int
    code: str
    message: str
    details: Any
    headers: Headers


def problem_of(error: Exception) -> Problem:
    """What the caller learns; never more than the caller may know."""
    status = next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
    match error:
        case Refused():
            return Problem(status, error.code, error.message, _details(error), _refusal_headers(error))
        case Busy():
            details = getattr(error, "details", None)
            return Problem(status, error.code, error.message, details, _retry_after(error.retry_after))
        case StoreFailed():
            return Problem(status, Busy.code, "a store did not answer; try again in a moment", None, _retry_after(1))
        case _:
            message = "something went wrong on our side; the logs tell more under this request id"
            return Problem(status, "INTERNAL_ERROR", message, None, [])


def _details(error: Refused) -> Any:
    if error.details is None and error.field is not None:
        return {"field": error.field}
    return error.details


def _refusal_headers(error: Refused) -> Headers:
    match error:
        case Unauthenticated():
            return [(b"www-authenticate", b"Bearer")]
        case MethodNotAllowed():
            return [(b"allow", ", ".join(error.details["allowed"]).encode())]
        case _:
            return []


def _retry_after(seconds: int) -> Headers:
    return [(b"retry-after", str(seconds).encode())]
