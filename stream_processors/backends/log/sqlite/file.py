"""The log's SQLite file: its layout, how it is opened, and what it says of itself."""

import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from schemas.errors import IdentityChanged, Overloaded, StoreFailed

_FORMAT = 1
_PAGE_BYTES = 8192
_OFFSET_BITS = 40

# `place` is the rowid, so frames lie on disk by partition and offset and need no second index.
# `trimmed` remembers the last offset deleted: an offset is never given twice, even when every frame is gone.
_LAYOUT = """
CREATE TABLE frames (place INTEGER PRIMARY KEY, arrival INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE TABLE trimmed (partition INTEGER PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE identity (log_id TEXT NOT NULL, partitions INTEGER NOT NULL);
"""

_FULL = {"SQLITE_FULL", "SQLITE_BUSY", "SQLITE_LOCKED"}


class LogIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Which log this is. Offsets of one log mean nothing in another."""

    log_id: str
    partitions: int


def rowid_of(partition: int, offset: int) -> int:
    """Where a frame lies in the file."""
    return partition << _OFFSET_BITS | offset


def offset_of(place: int) -> int:
    """The offset of the frame that lies there."""
    return place & ((1 << _OFFSET_BITS) - 1)


@contextmanager
def translate_errors() -> Iterator[None]:
    """SQLite's errors as ours: full or locked means come again, anything else that the outcome is not known."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        if name.startswith(tuple(_FULL)):
            raise Overloaded(
                f"the log's file cannot be written ({name}: {error}): is the disk full, or the file locked by a "
                "backup or another program?",
                retry_after=5,
            ) from error
        raise StoreFailed(f"the log's file failed ({name}: {error})") from error


class LogFile:
    """One file, opened by many connections: one that writes, several that read."""

    def __init__(self, path: Path, busy_seconds: float, new_id: Callable[[], str] = lambda: secrets.token_hex(16)):
        self._path = path
        self._busy_seconds = busy_seconds
        self._new_id = new_id

    def reader(self) -> sqlite3.Connection:
        """A connection that cannot write."""
        connection = self._connect()
        connection.execute("PRAGMA query_only=1")
        return connection

    def writer(self, partitions: int) -> tuple[sqlite3.Connection, LogIdentity]:
        """The connection that writes, and whose log it is. Makes the file where there is none."""
        connection = self._connect()
        try:
            connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            # Some builds overwrite what is deleted with zeros: every counted frame would be written a second time.
            connection.execute("PRAGMA secure_delete=OFF")
            # Checkpoints are the writer's own business: between commits, never inside one.
            connection.execute("PRAGMA wal_autocheckpoint=0")
            self._lay_out(connection, partitions)
            return connection, self.checked_identity(connection, partitions)
        except BaseException:
            connection.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(
            self._path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False, cached_statements=32
        )

    def _lay_out(self, connection: sqlite3.Connection, partitions: int) -> None:
        with transaction(connection):
            (found,) = connection.execute("PRAGMA user_version").fetchone()
            if found not in (0, _FORMAT):
                raise IdentityChanged(
                    f"{self._path} has log format {found}, this program knows {_FORMAT}: start the version that made it"
                )
            if found == 0:
                for statement in _LAYOUT.split(";\n"):
                    connection.execute(statement)
                connection.execute("INSERT INTO identity VALUES (?, ?)", (self._new_id(), partitions))
                connection.execute(f"PRAGMA user_version={_FORMAT}")

    def checked_identity(self, connection: sqlite3.Connection, partitions: int) -> LogIdentity:
        """Whose log it is. Raises IdentityChanged where it has another number of partitions."""
        log_id, stored = connection.execute("SELECT log_id, partitions FROM identity").fetchone()
        if stored != partitions:
            raise IdentityChanged(
                f"{self._path} was made with {stored} partitions and cannot be read with {partitions}: "
                f"set the number of partitions back to {stored}"
            )
        return LogIdentity(log_id=log_id, partitions=stored)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, durable at its end."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def end_offsets(connection: sqlite3.Connection, partitions: int) -> Mapping[int, int]:
    """For each partition the next offset to be given."""
    trimmed = dict(connection.execute("SELECT partition, last FROM trimmed"))
    found = {}
    for partition in range(partitions):
        (place,) = connection.execute(
            "SELECT max(place) FROM frames WHERE place >= ? AND place < ?",
            (rowid_of(partition, 0), rowid_of(partition + 1, 0)),
        ).fetchone()
        last = -1 if place is None else offset_of(place)
        found[partition] = max(last, trimmed.get(partition, -1)) + 1
    return found


def held_bytes(connection: sqlite3.Connection) -> int:
    """Payload bytes in the file."""
    (size,) = connection.execute("SELECT coalesce(sum(length(payload)), 0) FROM frames").fetchone()
    return int(size)
