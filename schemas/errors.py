"""The whole exception tree, drawn here; no HTTP.

TallyhouseError
├── Refused                 the request is wrong; repeating it will not help
│   ├── Invalid             a field or the body breaks a rule
│   ├── TooLarge            more bytes than the limit
│   ├── Unauthenticated     no key, or an invalid one
│   ├── Forbidden           a valid key without the scope
│   ├── NotFound            no such object in this account
│   └── Conflict            the current state forbids the request
├── Busy                    not now: the caller should retry later
│   ├── RateLimited         the account is over its rate limit
│   └── Overloaded          the service has no capacity left
├── Misconfigured           invalid settings, all errors together
├── Revoked                 the partition was assigned to another worker: stop working on it
├── Superseded              another worker has moved the partition on: forget its state and boot
├── StoreFailed             a store did not answer, or answered with an error: repeat the same step
│   └── LogFailed           the log's brokers did not
└── Alarm                   continuing could lose or double events: an operator must act
    ├── LogGap              the log no longer holds a frame that was never counted
    ├── ClaimMismatch       one flush number has two different claims
    ├── AwaitsDecision      a record may hold accepted events and cannot be counted: an operator must decide
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


class Unauthenticated(Refused):
    """The request has no key, or an invalid one."""

    code = "UNAUTHORIZED"


class Forbidden(Refused):
    """The key is valid but lacks the scope."""

    code = "FORBIDDEN"


class NotFound(Refused):
    """The account has no such object."""

    code = "NOT_FOUND"


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


class Misconfigured(TallyhouseError):
    """Invalid settings, all errors together. Raised before anything is opened."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = tuple(errors)


class StoreFailed(TallyhouseError):
    """A store did not answer, or answered with an error. Only the same step may be repeated: it may have
    taken effect."""


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


class AwaitsDecision(Alarm):
    """A record may hold accepted events and cannot be counted: the partition continues when an operator has decided."""


class IdentityChanged(Alarm):
    """Partitions, hash or log differ from those the data was written with."""


class Superseded(TallyhouseError):
    """Another worker has moved this partition on: everything remembered of it is void, and it must boot."""
