"""Makes a new log of what can still be read of a damaged or foreign one, from where the usage store has counted."""

import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from schemas.errors import LogGap, TallyhouseError
from stream_processors.backends.log.sqlite.anchor import Acked, AnchorFile, PartitionEnd
from stream_processors.backends.log.sqlite.chain import (
    REMEDY,
    FrameRow,
    chain_after,
    chain_start,
    is_intact,
    offset_of,
    rowid_of,
)
from stream_processors.backends.log.sqlite.file import (
    LogFile,
    chain_at,
    create_layout,
    record_trimmed,
    transaction,
    translate_errors,
)

_ROW = "SELECT place, arrival, payload, previous, chain FROM frames WHERE place = ?"
_PLACES = "SELECT place FROM frames WHERE place >= ? AND place < ? ORDER BY place"
_SIDE_FILES = ("", "-wal", "-shm")


class DamagedLog:
    """A log as it is, whatever it lacks. Nothing else may have it open."""

    def __init__(self, path: Path, partitions: int) -> None:
        self.path = path
        self._partitions = partitions
        self._file = LogFile(path, busy_seconds=1.0)

    def acked(self) -> Acked | None:
        """What was acknowledged; None if that is not known."""
        with suppress(LogGap):
            return AnchorFile(self.path, self._partitions).read()
        return None

    def alarm(self) -> str | None:
        """Why a start refuses the file; None if it does not."""
        if not self.path.exists():
            return f"{self.path} is missing"
        try:
            with translate_errors(), closing(self._file.reader()) as connection:
                self._file.check(connection, self._partitions)
        except TallyhouseError as alarm:
            return str(alarm).removesuffix(REMEDY).strip()
        return None

    def log_id(self) -> str | None:
        """The log's id; None if it cannot be read."""
        return self._ask("SELECT log_id FROM identity")

    def first_held(self, partition: int) -> int:
        """The offset after the last deleted one."""
        last = self._ask("SELECT last FROM trimmed WHERE partition = ?", partition)
        return 0 if last is None else int(last) + 1

    def chain_at(self, partition: int, offset: int) -> int | None:
        """The chain after the frame; None if it is not known."""
        with suppress(sqlite3.Error), closing(self._file.reader()) as connection:
            return chain_at(connection, partition, offset)
        return None

    def rows(self, partition: int) -> Iterator[FrameRow]:
        """The frames that are intact, in order. Raises nothing: what cannot be read is left out."""
        if not self.path.exists():
            return
        with closing(self._file.reader()) as connection:
            for place in _places(connection, partition):
                with suppress(sqlite3.Error):
                    row = connection.execute(_ROW, (place,)).fetchone()
                    if row is not None and is_intact(row):
                        yield row

    def _ask(self, query: str, *values: object) -> str | None:
        if not self.path.exists():
            return None
        with suppress(sqlite3.Error), closing(self._file.reader()) as connection:
            row = connection.execute(query, values).fetchone()
            return None if row is None else row[0]
        return None


class KeptFrames(msgspec.Struct, frozen=True, kw_only=True):
    """The frames of a partition that the new log gets, and the offset of the first of them."""

    partition: int
    first: int
    offsets: Sequence[int]
    """Their offsets in the damaged log."""


def rebuild(damaged: DamagedLog, log_id: str, kept: Sequence[KeptFrames], aside: str) -> Mapping[int, int]:
    """Puts a new log in the place of the damaged one, whose files get the suffix `aside`.

    Returns the chain before each partition's first frame. A kill in between leaves a log that a start refuses.
    """
    new = damaged.path.with_name(f"{damaged.path.name}.new")
    for suffix in _SIDE_FILES:
        new.with_name(new.name + suffix).unlink(missing_ok=True)
    starts = {}
    ends = []
    with closing(LogFile(new, busy_seconds=1.0).reader()) as connection:
        connection.execute("PRAGMA query_only=0")
        create_layout(connection, log_id, len(kept))
        with transaction(connection):
            for partition in kept:
                start, end = _copy(connection, damaged, log_id, partition)
                starts[partition.partition] = start
                ends.append(end)
    # The write-ahead file goes first: SQLite would apply it to the new log.
    for suffix in ("-wal", "-shm", "-acked"):
        old = damaged.path.with_name(damaged.path.name + suffix)
        if old.exists():
            old.rename(old.with_name(f"{old.name}{aside}"))
    old_log = damaged.path.with_name(f"{damaged.path.name}{aside}")
    if damaged.path.is_symlink():
        damaged.path.rename(old_log)
    elif damaged.path.exists():
        old_log.hardlink_to(damaged.path)
    new.replace(damaged.path)
    AnchorFile(damaged.path, len(kept)).create(Acked(log_id=log_id, ends=ends))
    return starts


def _copy(
    connection: sqlite3.Connection, damaged: DamagedLog, log_id: str, kept: KeptFrames
) -> tuple[int, PartitionEnd]:
    partition, end = kept.partition, kept.first
    start = chain = chain_start(log_id, partition)
    if kept.first:
        # A new history: an older copy of this log must not look like it.
        start = chain = secrets.randbits(62)
        record_trimmed(connection, partition, kept.first - 1, chain)
    wanted = frozenset(kept.offsets)
    for place, arrival, payload, _, _ in damaged.rows(partition):
        if offset_of(place) not in wanted:
            continue
        previous, new_place = chain, rowid_of(partition, end)
        chain = chain_after(previous, new_place, arrival, payload)
        connection.execute("INSERT INTO frames VALUES (?, ?, ?, ?, ?)", (new_place, arrival, payload, previous, chain))
        end += 1
    return start, PartitionEnd(end, chain)


def _places(connection: sqlite3.Connection, partition: int) -> list[int]:
    """The rowids that can be listed; those after a damaged page cannot."""
    places: list[int] = []
    with suppress(sqlite3.Error):
        for (place,) in connection.execute(_PLACES, (rowid_of(partition, 0), rowid_of(partition + 1, 0))):
            places.append(place)
    return places
