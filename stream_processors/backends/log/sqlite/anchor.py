"""What was acknowledged, kept apart from the log's file: each partition's end and chain, on disk before an ack.

SQLite drops the end of a damaged write-ahead file without a word, and a restored file ends earlier. By this second file
a start recognises both. It has two slots that are overwritten in turn, so a write that is cut off leaves the other one.
"""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

import msgspec

from schemas.errors import LogGap, Overloaded
from schemas.hashing import chained_digest
from stream_processors.backends.log.sqlite.chain import REMEDY

_BLOCK = 4096
_BYTES_PER_PARTITION = 64
_HEADER_BYTES = 12


class PartitionEnd(msgspec.Struct, frozen=True, array_like=True):
    """The next offset to be assigned, and the chain after the frame before it."""

    end: int
    chain: int


class Acked(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a slot: up to where frames were acknowledged."""

    log_id: str
    ends: Sequence[PartitionEnd]
    number: int = 0
    """Counts the writes: the slot with the higher number is the newer one."""


def anchor_path(log: Path) -> Path:
    return log.with_name(f"{log.name}-acked")


class AnchorFile:
    """The file with the two slots."""

    def __init__(self, log: Path, partitions: int) -> None:
        self.path = anchor_path(log)
        self._slot_bytes = -(-(_BLOCK + partitions * _BYTES_PER_PARTITION) // _BLOCK) * _BLOCK

    def read(self) -> Acked | None:
        """The newer slot; None if there is no file. Raises LogGap if both slots are damaged."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        slots = [_decoded(content[start : start + self._slot_bytes]) for start in (0, self._slot_bytes)]
        if not any(slots):
            raise LogGap(f"{self.path} is damaged: what was acknowledged is not known. {REMEDY}")
        return max((slot for slot in slots if slot is not None), key=lambda slot: slot.number)

    def create(self, acked: Acked) -> None:
        """Writes a new file with this content, in place of an old one. It is on disk when this returns."""
        new = self.path.with_name(f"{self.path.name}.new")
        with new.open("wb") as file:
            file.write(2 * self._encoded(acked))
            file.flush()
            os.fsync(file.fileno())
        new.rename(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def open(self) -> int:
        """A descriptor for `overwrite`."""
        return os.open(self.path, os.O_RDWR)

    def overwrite(self, descriptor: int, acked: Acked) -> None:
        """Writes the older slot. It is on disk when this returns."""
        os.pwrite(descriptor, self._encoded(acked), acked.number % 2 * self._slot_bytes)
        os.fdatasync(descriptor)

    def _encoded(self, acked: Acked) -> bytes:
        body = msgspec.json.encode(acked)
        header = chained_digest(0, b"acked", body).to_bytes(8) + len(body).to_bytes(4)
        return (header + body).ljust(self._slot_bytes, b"\0")


def _decoded(slot: bytes) -> Acked | None:
    digest, size = int.from_bytes(slot[:8]), int.from_bytes(slot[8:_HEADER_BYTES])
    body = slot[_HEADER_BYTES : _HEADER_BYTES + size]
    if not body or digest != chained_digest(0, b"acked", body):
        return None
    return msgspec.json.decode(body, type=Acked)


Ack = Callable[[Exception | None], object]
"""Called when the ends are on disk, or with the error that prevented it."""


class Acknowledger:
    """Writes the ends of commits, and then calls their acks. While one write is synced, the next commit runs."""

    def __init__(
        self, file: AnchorFile, log_id: str, ends: Mapping[int, PartitionEnd], monotonic: Callable[[], float]
    ) -> None:
        """`ends` are those of the log, which may be ahead of the last acks. The file must exist."""
        self._file = file
        self._monotonic = monotonic
        self.ends = dict(ends)
        """The newest end of each partition in the log."""
        before = file.read()
        self._acked = Acked(log_id=log_id, ends=self._in_order(), number=before.number if before else 0)
        self._descriptor = file.open()
        self._changed = threading.Condition()
        self._acks: list[Ack] = []
        self._writing_since: float | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="log-acks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Writes what is waiting, and ends the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()
        os.close(self._descriptor)

    def acknowledge(self, ends: Mapping[int, PartitionEnd], ack: Ack) -> None:
        """Calls `ack` in another thread when the ends are on disk. Without ends it only proves that the disk works."""
        with self._changed:
            self.ends.update(ends)
            self._acks.append(ack)
            self._changed.notify()

    @property
    def waiting_seconds(self) -> float:
        """Seconds for which the disk has not synced the write in progress; 0 if none is."""
        since = self._writing_since
        return 0.0 if since is None else self._monotonic() - since

    def probe(self) -> "Future[None]":
        """The future is done when the disk has synced a write."""
        done: Future[None] = Future()
        done.set_running_or_notify_cancel()  # From now on it cannot be cancelled, so that the thread can resolve it.

        def answer(error: Exception | None) -> None:
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        self.acknowledge({}, answer)
        return done

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._acks or self._stopping)
                acks, self._acks = self._acks, []
                if not acks:
                    return
                ends = self._in_order()
            error = self._write(ends)
            for ack in acks:
                ack(error)

    def _in_order(self) -> Sequence[PartitionEnd]:
        return tuple(end for _, end in sorted(self.ends.items()))

    def _write(self, ends: Sequence[PartitionEnd]) -> Exception | None:
        acked = Acked(log_id=self._acked.log_id, ends=ends, number=self._acked.number + 1)
        self._writing_since = self._monotonic()
        try:
            self._file.overwrite(self._descriptor, acked)
        except OSError as error:
            why = error.strerror or str(error)
            return Overloaded(f"acknowledged frames cannot be recorded on disk ({why}): is it full?", retry_after=5)
        finally:
            self._writing_since = None
        self._acked = acked
        return None
