"""The log's SQLite file: its layout, how it is opened, and the identity stored in it."""

import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import IdentityChanged, LogGap, Overloaded, StoreFailed
from stream_processors.backends.log.identity import LogIdentity
from stream_processors.backends.log.sqlite.anchor import Acked, AnchorFile, PartitionEnd, anchor_path
from stream_processors.backends.log.sqlite.chain import (
    REMEDY,
    chain_after,
    chain_start,
    check_row,
    offset_of,
    rowid_of,
    trimmed_digest,
)

_FORMAT = 2
_PAGE_BYTES = 8192

# `place` is the rowid, so frames are stored by partition and offset and need no second index.
# `trimmed` holds the last deleted offset: an offset is never assigned twice, even when every frame is deleted.
# `chain` is the value of a partition's chain after a frame, `previous` the one before it.
_LAYOUT = """
CREATE TABLE frames (place INTEGER PRIMARY KEY, arrival INTEGER NOT NULL, payload BLOB NOT NULL,
    previous INTEGER NOT NULL DEFAULT 0, chain INTEGER NOT NULL DEFAULT 0);
CREATE TABLE trimmed (partition INTEGER PRIMARY KEY, last INTEGER NOT NULL, chain INTEGER NOT NULL DEFAULT 0,
    digest INTEGER NOT NULL DEFAULT 0);
CREATE TABLE identity (log_id TEXT NOT NULL, partitions INTEGER NOT NULL);
CREATE TABLE probe (id INTEGER PRIMARY KEY, number INTEGER NOT NULL);
"""

_CHAINED = """
ALTER TABLE frames ADD COLUMN previous INTEGER NOT NULL DEFAULT 0;
ALTER TABLE frames ADD COLUMN chain INTEGER NOT NULL DEFAULT 0;
ALTER TABLE trimmed ADD COLUMN chain INTEGER NOT NULL DEFAULT 0;
ALTER TABLE trimmed ADD COLUMN digest INTEGER NOT NULL DEFAULT 0;
CREATE TABLE probe (id INTEGER PRIMARY KEY, number INTEGER NOT NULL);
"""
"""From format 1 to format 2. The chains are filled in afterwards, in the same transaction."""

_ROWS = "SELECT place, arrival, payload, previous, chain FROM frames WHERE place >= ? AND place < ? ORDER BY place"
_HELD = "SELECT count(*), min(place), max(place) FROM frames WHERE place >= ? AND place < ?"

_FULL = {"SQLITE_FULL", "SQLITE_BUSY", "SQLITE_LOCKED"}
_DAMAGED = {"SQLITE_CORRUPT", "SQLITE_NOTADB"}


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raises Overloaded for a full disk or a locked file, LogGap for a damaged file, StoreFailed for any other error of
    SQLite, whose outcome is unknown."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        if name.startswith(tuple(_DAMAGED)):
            raise LogGap(f"the log's file is damaged ({name}: {error}). {REMEDY}") from error
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
        self._opened: tuple[int, int] | None = None

    def check_in_place(self) -> None:
        """Raises LogGap if the file at the path is not the one that was opened: what is appended would go nowhere."""
        if _inode(self._path) != self._opened:
            raise LogGap(
                f"{self._path} was replaced or deleted while the server runs: stop the server, and start it on the "
                "files that belong together"
            )

    def anchor(self, partitions: int) -> AnchorFile:
        """The file that states what was acknowledged."""
        return AnchorFile(self._path, partitions)

    def reader(self) -> sqlite3.Connection:
        """Opens a connection that cannot write."""
        connection = self._connect()
        connection.execute("PRAGMA query_only=1")
        return connection

    def writer(self, partitions: int) -> tuple[sqlite3.Connection, LogIdentity]:
        """Opens the connection that writes, creating the file if needed.

        Raises IdentityChanged, and LogGap if the log lacks a frame that was acknowledged.
        """
        acked = self.anchor(partitions).read()
        if acked is not None and any(end.end for end in acked.ends) and not self._path.exists():
            raise LogGap(f"{self._path} is missing, though frames in it were acknowledged. {REMEDY}")
        connection = self._open_writer(partitions, acked)
        try:
            identity = self.check(connection, partitions)
        except BaseException:
            connection.close()
            raise
        self._opened = _inode(self._path)
        return connection, identity

    def _open_writer(self, partitions: int, acked: Acked | None) -> sqlite3.Connection:
        connection = self._connect()
        try:
            connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            # Some builds overwrite deleted content with zeros: every counted frame would be written a second time.
            connection.execute("PRAGMA secure_delete=OFF")
            # The writer runs checkpoints itself: between commits, never inside one.
            connection.execute("PRAGMA wal_autocheckpoint=0")
            self._lay_out(connection, partitions, acked)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False, cached_statements=32
        )
        # A damaged value may become a text of any bytes: it must reach the checks.
        connection.text_factory = lambda text: text.decode(errors="replace")
        return connection

    def _lay_out(self, connection: sqlite3.Connection, partitions: int, acked: Acked | None) -> None:
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found == _FORMAT:
            return
        if found not in (0, 1):
            raise IdentityChanged(
                f"{self._path} has log format {found}, this program knows {_FORMAT}: start the version that made it"
            )
        # The file of what was acknowledged is there before a log that must have one: a kill in between harms nothing.
        with transaction(connection):
            if found == 0:
                self._create(connection, partitions, acked)
            else:
                self._add_chains(connection, partitions)
            connection.execute(f"PRAGMA user_version={_FORMAT}")

    def _create(self, connection: sqlite3.Connection, partitions: int, acked: Acked | None) -> None:
        log_id = acked.log_id if acked else self._new_id()
        _create_tables(connection, log_id, partitions)
        if acked is None:
            self.anchor(partitions).create(
                Acked(log_id=log_id, ends=[PartitionEnd(0, chain_start(log_id, p)) for p in range(partitions)])
            )

    def _add_chains(self, connection: sqlite3.Connection, partitions: int) -> None:
        """Chains the frames of a log of format 1."""
        identity = self.checked_identity(connection, partitions)
        _run_all(connection, _CHAINED)
        for partition in range(partitions):
            chain = chain_start(identity.log_id, partition)
            for (last,) in connection.execute("SELECT last FROM trimmed WHERE partition = ?", (partition,)).fetchall():
                record_trimmed(connection, partition, last, chain)
            span = (rowid_of(partition, 0), rowid_of(partition + 1, 0))
            for (place,) in connection.execute(
                "SELECT place FROM frames WHERE place >= ? AND place < ?", span
            ).fetchall():
                ((arrival, payload),) = connection.execute(
                    "SELECT arrival, payload FROM frames WHERE place = ?", (place,)
                ).fetchall()
                previous, chain = chain, chain_after(chain, place, arrival, payload)
                connection.execute(
                    "UPDATE frames SET previous = ?, chain = ? WHERE place = ?", (previous, chain, place)
                )
        ends = partition_ends(connection, identity)
        self.anchor(partitions).create(Acked(log_id=identity.log_id, ends=[ends[p] for p in range(partitions)]))

    def check(self, connection: sqlite3.Connection, partitions: int) -> LogIdentity:
        """The file's identity. Raises IdentityChanged, and LogGap if the log lacks a frame that was acknowledged."""
        identity = self.checked_identity(connection, partitions)
        self._check_reaches(connection, identity, self.anchor(partitions).read())
        return identity

    def checked_identity(self, connection: sqlite3.Connection, partitions: int) -> LogIdentity:
        """The file's identity. Raises IdentityChanged if its number of partitions differs."""
        row = connection.execute("SELECT log_id, partitions FROM identity").fetchone()
        if row is None:
            raise LogGap(f"{self._path} does not say which log it is: it is damaged. {REMEDY}")
        log_id, stored = row
        if stored != partitions:
            raise IdentityChanged(
                f"{self._path} was made with {stored} partitions and cannot be read with {partitions}: "
                f"set the number of partitions back to {stored}"
            )
        return LogIdentity(log_id=log_id, partitions=stored)

    def _check_reaches(self, connection: sqlite3.Connection, identity: LogIdentity, acked: Acked | None) -> None:
        """Raises LogGap unless the log holds everything that was acknowledged and is not counted."""
        if acked is None:
            raise LogGap(f"{anchor_path(self._path)} is missing: what was acknowledged is not known. {REMEDY}")
        if acked.log_id != identity.log_id:
            raise LogGap(
                f"{self._path} is another log than the one whose frames were acknowledged "
                f"({anchor_path(self._path)}). {REMEDY}"
            )
        ends = partition_ends(connection, identity)
        lacking = [
            problem
            for partition, expected in enumerate(acked.ends)
            if (problem := _shortfall(connection, partition, ends[partition], expected))
        ]
        if lacking:
            raise LogGap(f"{self._path} is not the log it was: {'; '.join(lacking)}. {REMEDY}")


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _shortfall(
    connection: sqlite3.Connection, partition: int, found: PartitionEnd, expected: PartitionEnd
) -> str | None:
    if found.end < expected.end:
        return (
            f"partition {partition} ends at frame {found.end - 1}, but frames up to {expected.end - 1} were "
            "acknowledged: the file was restored from an older copy, or its end is damaged"
        )
    chain = found.chain if found.end == expected.end else chain_at(connection, partition, expected.end - 1)
    if chain is not None and chain != expected.chain:
        return f"partition {partition} holds other frames up to {expected.end - 1} than those that were acknowledged"
    return None


def create_layout(connection: sqlite3.Connection, log_id: str, partitions: int) -> None:
    """Makes an empty file a log."""
    connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")
    connection.execute("PRAGMA synchronous=FULL")
    with transaction(connection):
        _create_tables(connection, log_id, partitions)
        connection.execute(f"PRAGMA user_version={_FORMAT}")


def _create_tables(connection: sqlite3.Connection, log_id: str, partitions: int) -> None:
    _run_all(connection, _LAYOUT)
    connection.execute("INSERT INTO identity VALUES (?, ?)", (log_id, partitions))


def _run_all(connection: sqlite3.Connection, script: str) -> None:
    for statement in script.split(";\n"):
        connection.execute(statement)


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


def chain_at(connection: sqlite3.Connection, partition: int, offset: int) -> int | None:
    """The chain after the frame; None if the log no longer knows it, or does not reach it."""
    row = connection.execute("SELECT chain FROM frames WHERE place = ?", (rowid_of(partition, offset),)).fetchone()
    row = (
        row
        or connection.execute(
            "SELECT chain FROM trimmed WHERE partition = ? AND last = ?", (partition, offset)
        ).fetchone()
    )
    return None if row is None else int(row[0])


def record_trimmed(connection: sqlite3.Connection, partition: int, last: int, chain: int) -> None:
    """Records the last deleted frame."""
    digest = trimmed_digest(partition, last, chain)
    connection.execute("INSERT OR REPLACE INTO trimmed VALUES (?, ?, ?, ?)", (partition, last, chain, digest))


def partition_ends(connection: sqlite3.Connection, identity: LogIdentity) -> Mapping[int, PartitionEnd]:
    """The end of each partition. Raises LogGap if rows are missing or the last one is damaged."""
    trimmed = {row[0]: row for row in connection.execute("SELECT partition, last, chain, digest FROM trimmed")}
    ends = {}
    for partition in range(identity.partitions):
        last, chain = -1, chain_start(identity.log_id, partition)
        if partition in trimmed:
            _, last, chain, digest = trimmed[partition]
            if digest != trimmed_digest(partition, last, chain):
                raise LogGap(f"partition {partition}: the log's record of deleted frames is damaged. {REMEDY}")
        count, low, high = connection.execute(_HELD, (rowid_of(partition, 0), rowid_of(partition + 1, 0))).fetchone()
        if count:
            if (low, high) != (rowid_of(partition, last + 1), rowid_of(partition, last + count)):
                raise LogGap(f"partition {partition}: frames are missing from the log's file. {REMEDY}")
            (row,) = connection.execute(_ROWS, (high, high + 1)).fetchall()
            check_row(partition, row)
            last, chain = last + count, row[4]
        ends[partition] = PartitionEnd(last + 1, chain)
    return ends


def held_bytes(connection: sqlite3.Connection) -> int:
    """Payload bytes in the file."""
    (size,) = connection.execute("SELECT coalesce(sum(length(payload)), 0) FROM frames").fetchone()
    return int(size)
