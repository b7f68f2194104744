"""Whether the brokers are worth asking: not while they are known not to answer."""

from schemas.errors import Overloaded

_RETRY_AFTER = 2
_LONGEST_BACKOFF = 1.0


class Circuit:
    """Opened by whoever waited in vain, closed by whoever was answered again. Open, it lets nobody wait.

    No clock: who tries whether the brokers answer rests in between, and is told for how long.
    """

    def __init__(self) -> None:
        self._reason: str | None = None
        self._attempts = 0

    @property
    def is_open(self) -> bool:
        return self._reason is not None

    def open(self, reason: str) -> None:
        """Nobody answers, and why that is thought so; the latest reason is told."""
        self._reason = reason

    def close(self) -> None:
        """They answer."""
        self._reason = None
        self._attempts = 0

    def check(self) -> None:
        """Raises Overloaded where waiting would be in vain."""
        if self._reason is not None:
            raise Overloaded(f"the brokers do not answer at present: {self._reason}", retry_after=_RETRY_AFTER)

    def backoff(self) -> float:
        """Seconds before the next trial: none before the first, then more and more, but recovery must be seen soon."""
        self._attempts += 1
        return 0.0 if self._attempts == 1 else min(0.05 * 2 ** min(self._attempts - 2, 10), _LONGEST_BACKOFF)
