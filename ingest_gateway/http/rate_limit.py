"""Requests per account in fixed windows of a minute, reported in the X-RateLimit headers."""

from collections.abc import Callable

from ingest_gateway.http.errors import Headers
from schemas.errors import RateLimited
from schemas.ids import AccountId
from schemas.timestamps import MINUTE, SECOND

NO_LIMIT = 2**31 - 1
"""The headers' number without a limit: the largest that every client can hold."""


class RateLimit:
    """At most `per_minute` requests of an account in each minute of the clock; 0 sets no limit.

    Only the current minute is remembered, so memory follows the number of active accounts.
    """

    def __init__(self, per_minute: int, clock: Callable[[], int]) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._minute = -1
        self._taken: dict[AccountId, int] = {}
        self._unlimited: Headers = []

    def take(self, account: AccountId, headers: Headers) -> None:
        """Counts one request and adds its headers. Raises RateLimited beyond the limit."""
        now = self._clock()
        minute = now // MINUTE
        if minute != self._minute:
            self._begin(minute)
        if not self._per_minute:
            headers += self._unlimited
            return
        taken = self._taken[account] = self._taken.get(account, 0) + 1
        headers += _headers(self._per_minute, max(0, self._per_minute - taken), minute)
        if taken > self._per_minute:
            raise RateLimited(
                f"more than {self._per_minute} requests in one minute; continue when the next one begins",
                retry_after=max(1, -((now - (minute + 1) * MINUTE) // SECOND)),
            )

    def default_headers(self) -> Headers:
        """The headers of an untouched limit, for responses without an account."""
        limit = self._per_minute or NO_LIMIT
        return _headers(limit, limit, self._clock() // MINUTE)

    def _begin(self, minute: int) -> None:
        self._minute = minute
        self._taken.clear()
        self._unlimited = _headers(NO_LIMIT, NO_LIMIT, minute)


def _headers(limit: int, remaining: int, minute: int) -> Headers:
    return [
        (b"x-ratelimit-limit", b"%d" % limit),
        (b"x-ratelimit-remaining", b"%d" % remaining),
        (b"x-ratelimit-reset", b"%d" % ((minute + 1) * MINUTE // SECOND)),
    ]
