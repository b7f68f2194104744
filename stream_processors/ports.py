"""The ports of the flush: log, claims, tables, seen keys, event history and meter sets.

Ports are small and asynchronous. A crash, a rival or a lost reply may intervene at every call of one: the simulator
interleaves workers exactly there.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Protocol

import pyarrow as pa

from schemas.flush import ApplyOutcome, Claim, FlushProgress, FlushRows, SeenRows, Table
from schemas.frame import Frame
from schemas.hashing import KeyHashes
from schemas.meter import MeterSet


class FrameLog(Protocol):
    """The durable, partitioned, append-only sequence of frames, for reading. Offsets may have gaps."""

    async def first_offset(self, partition: int) -> int:
        """The lowest offset still held; the next offset to be assigned if no frame is held."""
        ...

    async def read(self, partition: int, start: int, *, max_bytes: int, last: int | None = None) -> Sequence[Frame]:
        """The frames from offset `start` on, in order, up to and including `last`.

        Without `last`: at least one frame if there is one, and at most `max_bytes` beyond the first.
        With `last`: all of them, whatever their size, because a claimed range is redone whole.
        """
        ...

    async def acknowledge(self, partition: int, last: int) -> None:
        """Records that every frame up to `last` is counted, which must be true. Frames may be acknowledged late."""
        ...


class LogTail(Protocol):
    """The growing end of the log, by which a driver decides when to flush."""

    async def wait(self, partition: int, start: int, timeout: float) -> None:  # noqa: ASYNC109 (seconds, as a reader expects)
        """Returns when a frame at or after `start` exists, at the latest after `timeout` seconds.

        Raises StoreFailed if the log does not answer: an outage must not look like the end of the log.
        """
        ...

    def end_offset(self, partition: int) -> int:
        """The next offset to be assigned."""
        ...

    async def oldest_arrival(self, partition: int, start: int) -> int | None:
        """The arrival of the first frame at or after `start`; None if there is none."""
        ...


class TailedLog(FrameLog, LogTail, Protocol):
    """The log and its growing end."""


class Claims(Protocol):
    """The table of flushes."""

    async def progress(self, partition: int) -> FlushProgress | None:
        """The highest claim of the partition; None if there is none."""
        ...

    async def claim(self, claim: Claim) -> None:
        """Stores the claim, unless one with this number or a higher one exists. `read_back` returns the winner."""
        ...

    async def read_back(self, partition: int, number: int) -> Sequence[FlushProgress]:
        """All claims numbered `number` or higher, one entry per different stored row."""
        ...

    async def finish(self, partition: int, number: int, rows: FlushRows) -> None:
        """Records the flush as done: all of its rows must be stored, as many as `rows` says.

        Raises Superseded if the store lacks some: a boot finds out which.
        """
        ...


class StoreCheck(Protocol):
    """Compares what is stored of a partition with what must be."""

    async def damage(self, partition: int) -> Sequence[str]:
        """What is missing or broken, each as the end of a sentence; empty if the store is complete."""
        ...


class NoStoreCheck:
    """For stores that cannot lose rows, such as one in memory."""

    async def damage(self, partition: int) -> Sequence[str]:
        del partition
        return ()


class Tables(Protocol):
    """The tables a flush writes."""

    async def apply(
        self,
        table: Table,
        partition: int,
        number: int,
        rows: pa.Table,
        piece: int = 0,
        after: Collection[Table] = (),
    ) -> ApplyOutcome:
        """Inserts the rows as one block, at most once per (table, flush, piece), however often it is called.

        `rows` is never empty. A piece follows the ones before it, and begins where they end. Another worker's piece of
        the same number may hold other rows: the extent says where it ends. Nothing is inserted before the rows of the
        tables `after` are there. A store may leave the check of the rows to `finish`. Raises StoreFailed if the outcome
        is unknown; then repeat the call. Raises Superseded if rows in the tables `after` are missing.
        """
        ...


class SeenKeys(Protocol):
    """The stored keys of a partition. Every method reads rows of flushes numbered below `below` only."""

    async def count(self, partition: int, below: int) -> int:
        """The approximate number of keys in `all_hashes`, for the size of the filter."""
        ...

    def all_hashes(self, partition: int, below: int) -> AsyncIterator[KeyHashes]:
        """Every key hash in `seen`, in chunks, for filling the filter."""
        ...

    async def find(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        """The rows of those keys that are in `seen`."""
        ...

    async def find_events(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        """The rows of those keys that are in `events`, whatever their age, for events under the backfill scope."""
        ...


class SeenMonths(Protocol):
    """The months (such as 202611) by which the store partitions seen keys, for expiry."""

    async def seen_months(self) -> Sequence[int]:
        """The months that hold keys, oldest first; preserved replay keys belong to none."""
        ...

    async def last_arrival(self, partition: int) -> int | None:
        """The arrival of the newest key in the partition's months; None if there is none."""
        ...

    async def preserve_replay_keys(self, month: int) -> None:
        """Moves replay keys out of the month, so that listings and audits find them after it is dropped. Idempotent."""
        ...

    async def drop_seen_month(self, month: int) -> None:
        """Deletes the month's keys with their receipts, so all flushes of the month must be done. Idempotent."""
        ...


class EventHistory(Protocol):
    """The events of past flushes, for the backfill of new meters."""

    async def activation(self, partition: int, version: int) -> int | None:
        """The lowest flush claimed with this meter set version or a higher one; None if there is none yet."""
        ...

    def read_events(self, partition: int, first_number: int, last_number: int) -> AsyncIterator[pa.Table]:
        """The events (layout EVENTS) of the flushes from the first number to the last, in order. A chunk has all events
        of each of its flushes, and is not larger than it must be for that."""
        ...


class BackfillTables(Protocol):
    """The tables a backfill writes: `usage` and `rejects`."""

    async def receipts(self, prefix: str) -> frozenset[str]:
        """The receipts in `usage` that start with `prefix`, of chunks of which no piece is missing."""
        ...

    async def apply_backfill(self, table: Table, receipt: str, rows: pa.Table, piece: int = 0) -> ApplyOutcome:
        """Inserts the rows as one block, at most once per (table, receipt, piece), as `Tables.apply` does."""
        ...


class MeterSets(Protocol):
    """The meter sets by version."""

    async def newest_version(self) -> int: ...

    async def at_version(self, version: int) -> MeterSet:
        """The meter set of a version, which never changes."""
        ...
