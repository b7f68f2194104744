"""The one thread that writes the log: all waiting appends go into one commit with one fsync."""

import itertools
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future

from schemas.errors import Alarm, StoreFailed, TallyhouseError
from schemas.frame import NewFrame
from schemas.logger import CauseLog, Logger
from schemas.metrics import Counter, Histogram, Metrics
from stream_processors.backends.log.policy import LogPolicy
from stream_processors.backends.log.quota import Quota
from stream_processors.backends.log.sqlite.anchor import Acknowledger, PartitionEnd
from stream_processors.backends.log.sqlite.chain import chain_after, offset_of, rowid_of
from stream_processors.backends.log.sqlite.file import chain_at, record_trimmed, transaction, translate_errors
from stream_processors.backends.log.tail import Tail

_RETRY_SECONDS = 1.0
_CHECKPOINT_BUSY_MS = 50

Append = tuple[Sequence[NewFrame], "Future[None]"]

_PROBE = "INSERT OR REPLACE INTO probe VALUES (1, coalesce((SELECT number FROM probe WHERE id = 1), 0) + 1)"
_INSERT = "INSERT INTO frames VALUES (?, ?, ?, ?, ?)"
_COUNTED = """
SELECT max(place), sum(size) FROM (
    SELECT place, length(payload) AS size FROM frames WHERE place >= ? AND place <= ? ORDER BY place LIMIT ?
)
"""
_DELETE = "DELETE FROM frames WHERE place >= ? AND place <= ?"


class LogWriter:
    """Owns the writing connection. Callable from any thread; it works in its own."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        check_in_place: Callable[[], None],
        acks: Acknowledger,
        tail: Tail,
        quota: Quota,
        policy: LogPolicy,
        metrics: Metrics,
        logger: Logger,
        monotonic: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._connection = connection
        self._check_in_place = check_in_place
        self._acks = acks
        self._ends = dict(acks.ends)
        self._tail = tail
        self._quota = quota
        self._policy = policy
        self._metrics = metrics
        self._monotonic = monotonic
        self._causes = CauseLog(logger, monotonic)
        self._failure: str | None = None
        self._committing_since: float | None = None
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._changed = threading.Condition()
        self._waiting: list[Append] = []
        self._counted: dict[int, int] = {}
        self._stopping = False
        self._tidying_failed = False
        self._bytes_since_checkpoint = 0

    def start(self) -> None:
        self._acks.start()
        self._thread.start()

    def stop(self) -> None:
        """Writes the waiting appends, then ends the thread and closes the connection."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()
        self._acks.stop()
        self._connection.close()

    @property
    def problem(self) -> str | None:
        """Why frames cannot be written now; None if they can, as far as known."""
        if failure := self._failure:
            return failure
        since = self._committing_since
        waiting = max(0.0 if since is None else self._monotonic() - since, self._acks.waiting_seconds)
        if waiting >= self._policy.hung_seconds:
            return f"the log's disk has not answered a write for {waiting:.0f} s: is it frozen, or much too slow?"
        return None

    def probe(self) -> "Future[None]":
        """The future is done when the disk has synced a small write."""
        return self._acks.probe()

    def append(self, frames: Sequence[NewFrame]) -> "Future[None]":
        """The future is done when the frames are durable. Raises Overloaded, or StoreFailed once stopped."""
        size = _size_of(frames)
        done: Future[None] = Future()
        with self._changed:
            if self._stopping:
                raise StoreFailed("the log is closed")
            self._quota.reserve(size)
            self._waiting.append((frames, done))
            self._changed.notify()
        return done

    def acknowledge(self, partition: int, last: int) -> None:
        """Deletes frames up to `last` in the background. Raises Alarm past the end of the log."""
        if last >= self._tail.end(partition):
            raise Alarm(
                f"partition {partition}: frame {last} is said to be counted, but the log ends before "
                f"{self._tail.end(partition)}: is this the log that the usage was counted from?"
            )
        with self._changed:
            self._counted[partition] = max(last, self._counted.get(partition, -1))
            self._changed.notify()

    def _run(self) -> None:
        while True:
            appends = self._take()
            if appends is None:
                return
            if appends:
                self._commit(appends)
            elif self._failure is not None:
                self._try_again()
            elif self._causes.is_failing:
                self._succeed()
            self._tidy()

    def _take(self) -> Sequence[Append] | None:
        """Waits for work, and takes all waiting appends; None when stopped."""
        with self._changed:
            pause = _RETRY_SECONDS if self._tidying_failed or self._failure or self._causes.is_failing else None
            self._changed.wait_for(self._has_work, pause)
            self._tidying_failed = False
            appends, self._waiting = self._waiting, []
            if self._stopping and not appends:
                return None
        return [append for append in appends if self._is_not_cancelled(append)]

    def _has_work(self) -> bool:
        return bool(self._waiting or self._stopping or (self._counted and not self._tidying_failed))

    def _is_not_cancelled(self, append: Append) -> bool:
        frames, done = append
        if done.set_running_or_notify_cancel():
            return True
        self._quota.release(_size_of(frames))
        return False

    def _commit(self, appends: Sequence[Append]) -> None:
        """Commits all of the appends or none. A failure does not affect later appends."""
        began = self._monotonic()
        frames = list(itertools.chain.from_iterable(frames for frames, _ in appends))
        self._committing_since = began
        try:
            ends = self._insert(frames)
        except Exception as error:
            self._quota.release(_size_of(frames))
            failure = _as_store_failed(error)
            # Values that SQLite cannot store are the caller's fault; the next commit does not fail of them.
            self._fail(failure, lasts=isinstance(error, TallyhouseError))
            _settle(appends, failure)
            return
        finally:
            self._committing_since = None
        self._succeed()
        self._ends.update(ends)
        self._tail.advance({partition: end.end for partition, end in ends.items()})
        self._acks.acknowledge(ends, lambda error: self._acknowledged(appends, error))
        self._bytes_since_checkpoint += _size_of(frames)
        self._metrics.observe(Histogram.COMMIT_SECONDS, self._monotonic() - began)
        self._metrics.count(Counter.FRAMES, len(frames))
        self._metrics.count(Counter.FRAME_BYTES, _size_of(frames))

    def _acknowledged(self, appends: Sequence[Append], error: Exception | None) -> None:
        if error is None:
            self._causes.recovered("acks", "acknowledged frames are recorded again")
        else:
            self._causes.failed("acks", "acknowledged frames cannot be recorded: posts are refused", str(error))
        _settle(appends, error)

    def _try_again(self) -> None:
        """Commits a small write after a failure: while nothing is posted, nothing else shows that the disk works."""
        self._committing_since = self._monotonic()
        try:
            with translate_errors(), transaction(self._connection):
                self._connection.execute(_PROBE)
                self._check_in_place()
        except TallyhouseError as error:
            self._fail(error, lasts=True)
        else:
            self._succeed()
        finally:
            self._committing_since = None

    def _fail(self, error: Exception, *, lasts: bool) -> None:
        self._causes.failed("commits", "frames cannot be written: posts are refused", str(error))
        if lasts:
            self._failure = str(error)

    def _succeed(self) -> None:
        self._failure = None
        self._causes.recovered("commits", "frames are written again")

    def _insert(self, frames: Sequence[NewFrame]) -> Mapping[int, PartitionEnd]:
        ends: dict[int, PartitionEnd] = {}
        rows = []
        for frame in frames:
            before = ends.get(frame.partition) or self._ends[frame.partition]
            place = rowid_of(frame.partition, before.end)
            chain = chain_after(before.chain, place, frame.arrival, frame.payload)
            rows.append((place, frame.arrival, frame.payload, before.chain, chain))
            ends[frame.partition] = PartitionEnd(before.end + 1, chain)
        with translate_errors(), transaction(self._connection):
            self._connection.executemany(_INSERT, rows)
            self._check_in_place()
        return ends

    def _tidy(self) -> None:
        """Deletes some counted frames, and runs a checkpoint when one is due. A failure is retried later."""
        try:
            self._trim()
            if self._bytes_since_checkpoint >= self._policy.checkpoint_bytes:
                self._bytes_since_checkpoint = 0
                self._checkpoint()
        except sqlite3.Error:
            self._tidying_failed = True

    def _trim(self) -> None:
        with self._changed:
            if not self._counted:
                return
            partition, last = next(iter(self._counted.items()))
        final = last - self._policy.retained_frames
        trimmed = self._trim_up_to(partition, final) if final >= 0 else final
        with self._changed:
            # A later acknowledgement may have been added. Removed and put back, the partitions take turns.
            last = self._counted.pop(partition)
            if trimmed < last - self._policy.retained_frames:
                self._counted[partition] = last

    def _trim_up_to(self, partition: int, final: int) -> int:
        """Deletes some frames up to `final`. Returns the offset up to which none are left."""
        first = rowid_of(partition, 0)
        with transaction(self._connection):
            place, size = self._connection.execute(
                _COUNTED, (first, rowid_of(partition, final), self._policy.trim_frames)
            ).fetchone()
            if place is None:
                return final
            chain = chain_at(self._connection, partition, offset_of(place))
            assert chain is not None  # noqa: S101 - the frame at this place was just found
            self._connection.execute(_DELETE, (first, place))
            record_trimmed(self._connection, partition, offset_of(place), chain)
        self._quota.release(size)
        return offset_of(place)

    def _checkpoint(self) -> None:
        """Copies the write-ahead file into the database and restarts it."""
        # This waits for readers of the old end. Tallyhouse's own reads are short; a backup's must not hold up the
        # appends, so the wait is short too, and the next checkpoint tries again.
        self._connection.execute(f"PRAGMA busy_timeout={_CHECKPOINT_BUSY_MS}")
        try:
            self._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        finally:
            self._connection.execute(f"PRAGMA busy_timeout={int(self._policy.busy_seconds * 1000)}")


def _settle(appends: Sequence[Append], error: Exception | None) -> None:
    for _, done in appends:
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)


def _as_store_failed(error: Exception) -> Exception:
    if isinstance(error, TallyhouseError):
        return error
    return StoreFailed(f"frames could not be written ({type(error).__name__}: {error})")


def _size_of(frames: Sequence[NewFrame]) -> int:
    return sum(len(frame.payload) for frame in frames)
