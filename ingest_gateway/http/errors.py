"""The one table from errors to HTTP: status, code, message and headers."""

from typing import Any, NamedTuple

from schemas.errors import (
    Busy,
    Conflict,
    Forbidden,
    HeadersTooLarge,
    Invalid,
    LogFailed,
    NotFound,
    RateLimited,
    Refused,
    RequestTimeout,
    StatementTooLarge,
    StoreAbsent,
    StoreFailed,
    TooLarge,
    Unanswerable,
    Unauthenticated,
    UrlTooLong,
)

Headers = list[tuple[bytes, bytes]]


class MethodNotAllowed(Refused):
    """The path exists, but not for this method."""

    code = "METHOD_NOT_ALLOWED"


class NotAcceptable(Refused):
    """The server produces none of the media types that the caller accepts."""

    code = "NOT_ACCEPTABLE"


class NotReady(Busy):
    """A part of the service does not work at the moment."""

    code = "NOT_READY"

    def __init__(self, message: str, details: Any) -> None:
        super().__init__(message)
        self.details = details


class ClientDisconnected(Exception):
    """The caller has closed the connection, so no response is possible."""


STATUSES: dict[type[BaseException], int] = {
    Refused: 400,
    Invalid: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    NotAcceptable: 406,
    RequestTimeout: 408,
    Conflict: 409,
    TooLarge: 413,
    UrlTooLong: 414,
    Unanswerable: 422,
    StatementTooLarge: 422,
    HeadersTooLarge: 431,
    RateLimited: 429,
    Busy: 503,
    StoreFailed: 503,
    Exception: 500,
}
"""The nearest class in the error's ancestry decides; an unforeseen error is a 500."""


class Problem(NamedTuple):
    """An error as a response shows it."""

    status: int
    code: str
    message: str
    details: Any
    headers: Headers


def problem_of(error: Exception) -> Problem:
    """What the caller may know of an error, and no more."""
    status = next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
    match error:
        case Refused():
            return Problem(status, error.code, error.message, _details(error), _refusal_headers(error))
        case Busy():
            details = getattr(error, "details", None)
            return Problem(status, error.code, error.message, details, _retry_after(error.retry_after))
        case StatementTooLarge():
            message = "this takes more memory or time than one request may take: ask for a shorter range, or for less"
            return Problem(status, Unanswerable.code, message, None, [])
        case StoreAbsent():
            return Problem(status, Busy.code, str(error), None, _retry_after(1))
        case LogFailed():
            message = "the log (Kafka) did not answer; retry in a moment"
            return Problem(status, Busy.code, message, None, _retry_after(1))
        case StoreFailed():
            return Problem(status, Busy.code, "a store did not answer; retry in a moment", None, _retry_after(1))
        case _:
            message = "something went wrong on our side; the logs have more under this request id"
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
