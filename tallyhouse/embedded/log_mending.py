"""`tallyhouse log check` and `tallyhouse log accept-loss`: what a log lacks, and how to continue without it.

Frames that are still in the log are kept. If it is not certain that they were counted, they are counted again: of an
event that was, the key is known, so it counts once.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

import msgspec

from schemas.errors import Conflict
from schemas.flush import FlushProgress
from schemas.hashing import HASH_NAME
from stream_processors.backends.log.sqlite.anchor import Acked
from stream_processors.backends.log.sqlite.chain import offset_of
from stream_processors.backends.log.sqlite.mending import DamagedLog, KeptFrames, rebuild
from stream_processors.backends.sql.client import AsyncSqlClient
from stream_processors.backends.sql.engine import SqlEngine
from stream_processors.backends.sql.identity import StoreIdentity
from stream_processors.backends.sql.log_positions import LogPosition, SqlLogPositions
from stream_processors.backends.store.embedded import EmbeddedStore
from tallyhouse.embedded.log_positions import counted_to
from tallyhouse.embedded.store import open_any_store
from tallyhouse.runtime.clock import now
from tallyhouse.runtime.data_directory import DataDirectory
from tallyhouse.runtime.settings import EmbeddedSettings


class PartitionFindings(msgspec.Struct, frozen=True, kw_only=True):
    """What a partition's log lacks."""

    partition: int
    counted: int
    """The first offset that the usage store has not counted."""
    lost: Sequence[int]
    """Offsets of frames that were acknowledged, are not counted, and cannot be read."""
    recounted: Sequence[int]
    """Offsets of frames of which it is not certain that they were counted: they are counted again, each event once."""
    problem: str | None
    """Why a start refuses this log; None if this partition is whole."""
    kept: KeptFrames
    half_done: str | None
    """A flush that is half done and cannot be finished without its frames; None if there is none."""

    def lines(self) -> Iterator[str]:
        if self.problem:
            yield f"partition {self.partition}: {self.problem}"
            yield f"partition {self.partition}: {len(self.lost)} acknowledged frames are lost: {_ranges(self.lost)}"
        if self.recounted:
            again = "are in the log and offered again; an event that was counted stays counted once"
            yield f"partition {self.partition}: frames {_ranges(self.recounted)} {again}"
        if self.half_done:
            yield f"partition {self.partition}: {self.half_done}"


class LogFindings(msgspec.Struct, frozen=True, kw_only=True):
    """What the log lacks, by partition."""

    log_id: str
    partitions: Sequence[PartitionFindings]
    alarm: str | None
    """Why the file as such is refused; None if it is not."""

    @property
    def is_whole(self) -> bool:
        return self.alarm is None and not any(found.problem for found in self.partitions)

    def lines(self) -> Sequence[str]:
        """The findings for people."""
        if self.is_whole:
            return ["the log is whole"]
        return [*([self.alarm] if self.alarm else []), *(line for found in self.partitions for line in found.lines())]


def run_check(settings: EmbeddedSettings) -> LogFindings:
    """Compares log and usage store; changes neither. Raises Conflict while a server runs."""
    with _opened(settings) as (damaged, identity, store):
        return asyncio.run(_inspect(damaged, identity, store))


def run_accept_loss(settings: EmbeddedSettings) -> LogFindings:
    """Makes a log that a start accepts, and returns what it lacks. The old files stay, under another name.

    Raises Conflict while a server runs, and if a flush that is half done needs frames that are lost.
    """
    with _opened(settings) as (damaged, identity, store):
        findings = asyncio.run(_inspect(damaged, identity, store))
        if half_done := [found.half_done for found in findings.partitions if found.half_done]:
            raise Conflict(f"{'; '.join(half_done)}. Restore the whole data directory from one backup")
        if not findings.is_whole:
            asyncio.run(_accept(damaged, findings, store))
        return findings


@contextmanager
def _opened(settings: EmbeddedSettings) -> Iterator[tuple[DamagedLog, StoreIdentity, AsyncSqlClient]]:
    directory = DataDirectory(settings.data_dir)
    if not directory.store.exists():
        raise Conflict(f"{directory.store} does not exist: there is no usage store to compare the log with")
    with directory.hold_lock():
        damaged = DamagedLog(directory.log, settings.partitions)

        def identity_of(stored: StoreIdentity | None) -> StoreIdentity:
            log_id = stored.log_id if stored else damaged.log_id()
            if log_id is None:
                raise Conflict(
                    f"{directory.path} holds neither a log that can be read nor a usage store that names one"
                )
            return StoreIdentity(partitions=settings.partitions, hash_name=HASH_NAME, log_id=log_id)

        with open_any_store(directory, identity_of) as (identity, store):
            yield damaged, identity, store


async def _inspect(damaged: DamagedLog, identity: StoreIdentity, store: AsyncSqlClient) -> LogFindings:
    flushes, positions = EmbeddedStore(SqlEngine(store)), await SqlLogPositions(store).read()
    acked, log_id = damaged.acked(), damaged.log_id()
    if log_id is not None and log_id != identity.log_id:
        raise Conflict(
            f"{damaged.path} is the log of another installation: put this installation's log back, or move that file "
            "away if this one's is lost"
        )
    return LogFindings(
        log_id=identity.log_id,
        alarm=damaged.alarm(),
        partitions=[
            _findings(damaged, identity, partition, await flushes.progress(partition), positions.get(partition), acked)
            for partition in range(identity.partitions)
        ],
    )


def _findings(
    damaged: DamagedLog,
    identity: StoreIdentity,
    partition: int,
    progress: FlushProgress | None,
    recorded: LogPosition | None,
    acked: Acked | None,
) -> PartitionFindings:
    first, claimed_end = counted_to(progress)
    held_from = damaged.first_held(partition)
    held = [offset_of(row[0]) for row in damaged.rows(partition)]
    end = held[-1] + 1 if held else held_from
    acked_end = acked.ends[partition].end if acked is not None and acked.log_id == identity.log_id else 0
    is_other = _is_other_than_acked(damaged, acked, partition, end)
    is_fork = is_other or _is_fork(damaged, partition, recorded, end)
    kept = held if is_fork or end < first else [offset for offset in held if offset >= first]
    readable = set() if is_other else set(held)
    lost = sorted(set(range(first, max(acked_end, end))) - readable)
    problem = None
    if is_fork:
        problem = "the log has other frames than those that were counted or acknowledged"
    elif end < first:
        problem = f"frames up to {first - 1} are counted, but the log ends at {end - 1}"
    elif lost or len(held) != end - held_from:
        problem = "frames are missing or damaged"
    elif acked is None:
        problem = "it is not known what was acknowledged, nor whether the log ends before it"
    needed = set(range(first, claimed_end))
    is_finishable = not needed or (not is_fork and needed <= set(held))
    return PartitionFindings(
        partition=partition,
        counted=first,
        lost=lost,
        recounted=[offset for offset in kept if offset < first],
        problem=problem,
        kept=KeptFrames(partition=partition, first=first, offsets=kept),
        half_done=None
        if is_finishable
        else f"its last flush (frames {first} to {claimed_end - 1}) is half done, and its frames are lost",
    )


def _is_fork(damaged: DamagedLog, partition: int, recorded: LogPosition | None, end: int) -> bool:
    if recorded is None or recorded.offset >= end:
        return False
    chain = damaged.chain_at(partition, recorded.offset)
    return chain is not None and chain != recorded.chain


def _is_other_than_acked(damaged: DamagedLog, acked: Acked | None, partition: int, end: int) -> bool:
    if acked is None or not 0 < acked.ends[partition].end <= end:
        return False
    chain = damaged.chain_at(partition, acked.ends[partition].end - 1)
    return chain is not None and chain != acked.ends[partition].chain


async def _accept(damaged: DamagedLog, findings: LogFindings, store: AsyncSqlClient) -> None:
    positions = SqlLogPositions(store)
    await positions.read()
    kept = [found.kept for found in findings.partitions]
    starts = rebuild(damaged, findings.log_id, kept, aside=f".replaced-{now()}")
    await positions.record({p.partition: LogPosition(p.first - 1, starts[p.partition]) for p in kept if p.first})


def _ranges(offsets: Sequence[int]) -> str:
    """Such as `3 to 5, 9`."""
    runs = []
    for _, run in groupby(enumerate(offsets), lambda numbered: numbered[1] - numbered[0]):
        each = [offset for _, offset in run]
        runs.append(str(each[0]) if len(each) == 1 else f"{each[0]} to {each[-1]}")
    return ", ".join(runs) or "none"
