"""The whole exception tree, drawn here; no HTTP.

TallyhouseError
├── Refused                 the caller asked for something wrong; asking again will not help
│   ├── Invalid             a field or the body breaks a rule
│   ├── TooLarge            more bytes than the limit
│   ├── Unauthenticated     no key, or not a good one
│   ├── Forbidden           a good key without the scope
│   ├── NotFound
│   └── Conflict            the state of things forbids it
├── Busy                    not now: the caller should come again
│   ├── RateLimited
│   └── Overloaded
├── Misconfigured           settings that cannot be used, all of them told together
├── Revoked                 a partition was given to another worker: leave it alone
├── StoreFailed             a store did not answer or answered with an error; repeat the same step
└── Alarm                   an operator must look; going on could lose or double something
    ├── LogGap              the log no longer holds a frame that was never counted
    ├── ClaimMismatch       one flush number has two different claims
    └── IdentityChanged     partitions, hash or log are not those this data was made with
"""

from collections.abc import Sequence
from typing import Any


class TallyhouseError(Exception):
    """The root: everything we raise on purpose."""


class Refused(TallyhouseError):
    """The caller's mistake, with a code for machines and a message for people."""

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
    """More bytes than the limit."""

    code = "PAYLOAD_TOO_LARGE"


class Unauthenticated(Refused):
    """No key, or not a good one."""

    code = "UNAUTHORIZED"


class Forbidden(Refused):
    """A good key without the scope."""

    code = "FORBIDDEN"


class NotFound(Refused):
    """No such thing in this account."""

    code = "NOT_FOUND"


class Conflict(Refused):
    """The state of things forbids it."""

    code = "CONFLICT"


class Busy(TallyhouseError):
    """Not now: come again after `retry_after` seconds."""

    code = "UNAVAILABLE"

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after


class RateLimited(Busy):
    """The account asked more often than its limit."""

    code = "RATE_LIMIT_EXCEEDED"


class Overloaded(Busy):
    """The service cannot take more right now."""


class Misconfigured(TallyhouseError):
    """Settings that cannot be used. Nothing was opened yet."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = tuple(errors)


class StoreFailed(TallyhouseError):
    """A store did not answer, or answered with an error. The same step may be repeated."""


class Revoked(TallyhouseError):
    """The partition belongs to another worker by now: what was being done with it is to be left undone."""


class Alarm(TallyhouseError):
    """Going on could lose or double something: stop, and let an operator look."""


class LogGap(Alarm):
    """The log no longer holds a frame that was never counted."""


class ClaimMismatch(Alarm):
    """One flush number has two different claims."""


class IdentityChanged(Alarm):
    """Partitions, hash or log are not those this data was made with."""


class Superseded(TallyhouseError):
    """Someone else went on with this partition: forget everything remembered of it and boot."""
