"""A statement's turn: when it came, how long it may take, how it is found while it runs."""

from time import perf_counter

import msgspec

from stream_processors.clickhouse_server.errors import TIMEOUT_EXCEEDED, clickhouse_error


class Deadline(msgspec.Struct, frozen=True, kw_only=True):
    """Time in the queue counts: a statement has ended one time limit after its body was there, run or not.

    So whoever waits that long for an answer that is lost may be sure that nothing of it still happens.
    """

    mark: str
    may_write: bool
    since: float

    def seconds_left(self, limit: str) -> str:
        """Of a limit; '0' is none."""
        try:
            seconds = float(limit)
        except ValueError:
            return limit  # The engine says what is wrong with it.
        if seconds == 0:
            return limit
        left = seconds - (perf_counter() - self.since)
        if left <= 0:
            raise clickhouse_error(
                TIMEOUT_EXCEEDED, f"Timeout exceeded: waited {seconds:.0f} s for other statements to end."
            )
        return f"{left:.3f}"
