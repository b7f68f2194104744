"""The log's SQLite file: its layout, how it is opened, and the identity stored in it."""

import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import IdentityChanged, Overloaded, StoreFailed
from stream_processors.backends.log.identity import LogIdentity

_FORMAT = 1
_PAGE_BYTES = 8192
_OFFSET_BITS = 40

# `place` is the rowid, so frames are stored by partition and offset and need no second index.
# `trimmed` holds the last deleted offset: an offset is never assigned twice, even when every frame is deleted.
_LAYOUT = """
CREATE TABLE frames (place INTEGER PRIMARY KEY, arrival INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE TABLE trimmed (partition INTEGER PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE identity (log_id TEXT NOT NULL, partitions INTEGER NOT NULL);
"""

_FULL = {"SQLITE_FULL", "SQLITE_BUSY", "SQLITE_LOCKED"}


def rowid_of(partition: int, offset: int) -> int:
    return partition << _OFFSET_BITS | offset


def offset_of(place: int) -> int:
    return place & ((1 << _OFFSET_BITS) - 1)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raises Overloaded for a full disk or a locked file, StoreFailed for any other SQLite error (outcome unknown)."""
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
    """Opens the file: one connection writes, several read."""

    def __init__(self, path: Path, busy_seconds: float, new_id: Callable[[], str] = lambda: secrets.token_hex(16)):
        self._path = path
        self._busy_seconds = busy_seconds
        self._new_id = new_id

    def reader(self) -> sqlite3.Connection:
        """Opens a connection that cannot write."""
        connection = self._connect()
        connection.execute("PRAGMA query_only=1")
        return connection

    def writer(self, partitions: int) -> tuple[sqlite3.Connection, LogIdentity]:
        """Opens the connection that writes, creating the file if needed. Raises IdentityChanged."""
        connection = self._connect()
        try:
            connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            # Some builds overwrite deleted content with zeros: every counted frame would be written a second time.
            connection.execute("PRAGMA secure_delete=OFF")
            # The writer runs checkpoints itself: between commits, never inside one.
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
        """The file's identity. Raises IdentityChanged if its number of partitions differs."""
        log_id, stored = connection.execute("SELECT log_id, partitions FROM identity").fetchone()
        if stored != partitions:
            raise IdentityChanged(
                f"{self._path} was made with {stored} partitions and cannot be read with {partitions}: "
                f"set the number of partitions back to {stored}"
            )
        return LogIdentity(log_id=log_id, partitions=stored)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction: committed and durable at the end of the context, or rolled back."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def end_offsets(connection: sqlite3.Connection, partitions: int) -> Mapping[int, int]:
    """The next offset to be assigned in each partition."""
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
