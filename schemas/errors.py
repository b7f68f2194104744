"""The whole exception tree, drawn here; no HTTP.

TallyhouseError
├── Refused                 the request is wrong; repeating it will not help
│   ├── Invalid             a field or the body breaks a rule
│   ├── TooLarge            more bytes than the limit
│   ├── MalformedRequest    not HTTP, or a header that must not be repeated
│   ├── HeadersTooLarge     more headers, or longer ones, than the limit
│   ├── UrlTooLong          a longer URL than the limit
│   ├── RequestTimeout      the request did not arrive in time
│   ├── Unauthenticated     no key, or an invalid one
│   ├── Forbidden           a valid key without the scope
│   ├── NotFound            no such object in this account
│   ├── Unanswerable        the answer takes more than one request may take
│   └── Conflict            the current state forbids the request
├── Busy                    not now: the caller should retry later
│   ├── RateLimited         the account is over its rate limit
│   ├── Overloaded          the service has no capacity left
│   └── Halted              what is accepted now could be lost: an operator must act first
├── Unready                 a part of the service does not work, for a reason that may be public
├── Misconfigured           invalid settings, all errors together
├── Revoked                 the partition was assigned to another worker: stop working on it
├── Superseded              another worker has moved the partition on: forget its state and boot
├── StoreFailed             a store did not answer, or answered with an error: repeat the same step
│   ├── StatementTooLarge   a read needs more memory or time than a statement may take
│   ├── StoreAbsent         the process that owns the store does not answer
│   └── LogFailed           the log's brokers did not
└── Alarm                   continuing could lose or double events: an operator must act
    ├── LogGap              the log no longer holds a frame that was never counted
    ├── ClaimMismatch       one flush number has two different claims
    ├── AwaitsDecision      a record may hold accepted events and cannot be counted: an operator must decide
    ├── StoreDamaged        the usage store lacks rows that it had
    └── IdentityChanged     partitions, hash or log differ from those the data was written with
"""

from collections.abc import Sequence
from typing import Any


class TallyhouseError(Exception):
    """The root of every exception that Tallyhouse raises on purpose."""


class Refused(TallyhouseError):
    """The request is wrong: a code for machines, a message for people."""

    code = "INVALID_REQUEST"

    def __init__(self, message: str, *, code: str | None = None, field: str | None = None, details: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.field = field
        self.details = details


class Invalid(Refused):
    """A field or the body breaks a rule."""

    code = "VALIDATION_ERROR"


class TooLarge(Refused):
    """The body has more bytes than the limit."""

    code = "PAYLOAD_TOO_LARGE"


class MalformedRequest(Refused):
    """The request is not HTTP, or repeats a header that has one value."""

    code = "MALFORMED_REQUEST"


class HeadersTooLarge(Refused):
    """The request has more headers, or longer ones, than the limit."""

    code = "HEADERS_TOO_LARGE"


class UrlTooLong(Refused):
    """The URL has more bytes than the limit."""

    code = "URL_TOO_LONG"


class RequestTimeout(Refused):
    """The request did not arrive in time."""

    code = "REQUEST_TIMEOUT"


class Unauthenticated(Refused):
    """The request has no key, or an invalid one."""

    code = "UNAUTHORIZED"


class Forbidden(Refused):
    """The key is valid but lacks the scope."""

    code = "FORBIDDEN"


class NotFound(Refused):
    """The account has no such object."""

    code = "NOT_FOUND"


class Unanswerable(Refused):
    """The answer takes more memory or time than one request may take; the message says how to ask for less."""

    code = "UNANSWERABLE"


class Conflict(Refused):
    """The current state of the object forbids the request."""

    code = "CONFLICT"


class Busy(TallyhouseError):
    """Not now: the caller should retry after `retry_after` seconds."""

    code = "UNAVAILABLE"

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after


class RateLimited(Busy):
    """The account sends more requests than its rate limit allows."""

    code = "RATE_LIMIT_EXCEEDED"


class Overloaded(Busy):
    """The service has no capacity left right now."""


class Halted(Busy):
    """What is accepted now could be lost: an operator must act first, as the message says."""


class Unready(TallyhouseError):
    """A part of the service does not work now. The message names the cause and nothing private."""


class Misconfigured(TallyhouseError):
    """Invalid settings, all errors together. Raised before anything is opened."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = tuple(errors)


class StoreFailed(TallyhouseError):
    """A store did not answer, or answered with an error. Only the same step may be repeated: it may have
    taken effect."""


class StatementTooLarge(StoreFailed):
    """The store's limit of memory or of time ended the statement. The same read will fail again."""


class StoreAbsent(StoreFailed):
    """The process that owns the store does not answer. The message says which one, and may be public."""


class LogFailed(StoreFailed):
    """The log's brokers did not answer, or answered with an error."""


class Revoked(TallyhouseError):
    """The partition was assigned to another worker: the current flush must stop where it is."""


class Alarm(TallyhouseError):
    """Continuing could lose or double events: the partition stops until an operator acts."""


class LogGap(Alarm):
    """The log no longer holds a frame that was never counted."""


class ClaimMismatch(Alarm):
    """One flush number has two different claims."""


class StoreDamaged(Alarm):
    """The usage store lacks rows that it had: what is read from it is wrong, and keys in it could count again."""


class AwaitsDecision(Alarm):
    """A record may hold accepted events and cannot be counted: the partition continues when an operator has decided."""


class IdentityChanged(Alarm):
    """Partitions, hash or log differ from those the data was written with."""


class Superseded(TallyhouseError):
    """Another worker has moved this partition on: everything remembered of it is void, and it must boot."""
