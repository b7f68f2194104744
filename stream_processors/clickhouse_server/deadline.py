"""The deadline of a statement, which includes its time in the queue."""

from time import perf_counter

import msgspec

from stream_processors.clickhouse_server.errors import TIMEOUT_EXCEEDED, clickhouse_error


class Deadline(msgspec.Struct, frozen=True, kw_only=True):
    """Time in the queue counts: a statement has ended one time limit after its body arrived, run or not.

    So a client that has waited that long for a lost answer knows that the statement has no further effect.
    """

    mark: str
    may_write: bool
    since: float

    def seconds_left(self, limit: str) -> str:
        """The seconds left of a time limit, of which '0' means none. Raises StatementFailed when it has passed."""
        try:
            seconds = float(limit)
        except ValueError:
            return limit  # the engine reports what is wrong with it
        if seconds == 0:
            return limit
        left = seconds - (perf_counter() - self.since)
        if left <= 0:
            raise clickhouse_error(
                TIMEOUT_EXCEEDED, f"Timeout exceeded: waited {seconds:.0f} s for other statements to end."
            )
        return f"{left:.3f}"
