"""How many bytes are on their way to the brokers, and the point at which no more are taken."""

from schemas.errors import Overloaded

_RETRY_AFTER = 2


class InFlight:
    """Counts bytes from the moment they are handed to a client until it lets go of them. One event loop.

    One append may go past the limit: otherwise one larger than the limit could never go.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0

    @property
    def bytes(self) -> int:
        return self._bytes

    def reserve(self, size: int) -> None:
        """Raises Overloaded where too much is in flight."""
        if self._bytes and self._bytes + size > self._limit:
            raise Overloaded(
                f"{self._bytes:,} bytes of frames are on their way to Kafka and not acknowledged, the limit is "
                f"{self._limit:,}: post again when the brokers have caught up",
                retry_after=_RETRY_AFTER,
            )
        self._bytes += size

    def release(self, size: int) -> None:
        """Acknowledged, or given up."""
        self._bytes -= size
