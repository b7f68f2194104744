"""Holds an account back whose events are more work than counting can do in time, so that no other waits for it.

The fan-out of an event is the number of meters that count it. Each of them may make a usage row or a reject of it, so
an event with a fan-out of a thousand costs the processors what hundreds of others cost, and the events of all accounts
wait for them in one line. An account may therefore have only so many rows of such events in that line.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from ingest_gateway.ingest.batch import BatchOutcome, PostedBatch
from ingest_gateway.ingest.packed_strings import as_column
from ingest_gateway.ports import FanOuts
from schemas.errors import RateLimited, TallyhouseError, TooLarge
from schemas.flush import PartitionStatus
from schemas.ids import AccountId
from schemas.logger import CauseLog, Logger

_LOOK_SECONDS = 0.5
"""The shortest time between two looks at what is counted."""

_METER_SECONDS = 2.0
"""The time between two looks for new meters."""

_LEDGER_SECONDS = 0.2
"""How long a post waits for such a look."""


class FanOutPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The limit of each account."""

    free: int = 100
    """Events with at most this fan-out are never held back."""
    rows: int = 1_000_000
    """How many rows the waiting events of an account with a larger fan-out may make together; 0 sets no limit."""


class BatchIntake(Protocol):
    """From posted events to their verdicts."""

    async def submit(self, posted: PostedBatch) -> BatchOutcome: ...


class Progress(Protocol):
    """How far the processors are."""

    async def partitions(self) -> Sequence[PartitionStatus]: ...


class _Work(msgspec.Struct):
    """One post's events with a large fan-out, from its admission until they are counted."""

    rows: int
    is_stored: bool = False
    ends: Mapping[int, int] | None = None
    """Partition → an offset that is not before any of the events; None until one is known."""

    def is_counted(self, progress: Sequence[PartitionStatus]) -> bool:
        ends = self.ends
        return ends is not None and all(
            not partition.lag_frames or partition.next_offset >= ends.get(partition.partition, 0)
            for partition in progress
        )


class FanOutLimit:
    """A `BatchIntake` that refuses posts of accounts with too much work waiting. Each process has its own count."""

    def __init__(
        self,
        intake: BatchIntake,
        fan_outs: FanOuts,
        status: Progress,
        policy: FanOutPolicy,
        timer: Callable[[], float],
        logger: Logger,
    ) -> None:
        self._intake = intake
        self._ledger = fan_outs
        self._status = status
        self._policy = policy
        self._timer = timer
        self._causes = CauseLog(logger, timer)
        self._large: Mapping[AccountId, Mapping[str, int]] = {}
        """The fan-out of each account's event names for which it is large."""
        self._version = -1
        self._meters_known_until = 0.0
        self._looking_for_meters: asyncio.Task[None] | None = None
        self._waiting: dict[AccountId, list[_Work]] = {}
        self._next_look = 0.0

    async def submit(self, posted: PostedBatch) -> BatchOutcome:
        """Raises RateLimited if the account must wait, and TooLarge for a post that is too much work at once."""
        if not self._policy.rows:
            return await self._intake.submit(posted)
        if self._timer() >= self._meters_known_until:
            await self._follow_meters()
        large = self._large.get(posted.account)
        events = {} if large is None else _count(posted, large)
        return await (self._admitted(posted, events) if events else self._intake.submit(posted))

    async def _admitted(self, posted: PostedBatch, events: Mapping[str, int]) -> BatchOutcome:
        fan_outs, most = self._large[posted.account], self._policy.rows
        rows = sum(fan_outs[name] * count for name, count in events.items())
        name = max(events, key=fan_outs.__getitem__)
        reason = f"{fan_outs[name]} meters count each {name!r} event"
        if rows > most and len(posted.valid) > 1:
            raise TooLarge(
                f"too much work for one request: {reason}, so its events would make up to {rows} rows of usage, and at "
                f"most {most} of an account may wait to be counted. Send at most "
                f"{max(1, len(posted.valid) * most // rows)} such events in a request"
            )
        waiting = self._waiting.setdefault(posted.account, [])
        if _rows_of(waiting) + rows > most or self._timer() >= self._next_look:
            await self._look_at_progress()
        if waiting and _rows_of(waiting) + rows > most:
            raise RateLimited(
                f"{reason}, and events of this account that are not counted yet will make up to {_rows_of(waiting)} "
                f"rows of usage; with these events it would be more than {most}, and other accounts would have to "
                "wait. Retry when some are counted, or archive meters that are not needed",
                retry_after=1,
            )
        work = _Work(rows)
        waiting.append(work)
        try:
            return await self._intake.submit(posted)
        finally:
            # Also after an error: the events may be stored all the same.
            work.is_stored = True

    async def _follow_meters(self) -> None:
        """Looks for new meters. While a ledger does not answer, that delays one post for a moment, and no other; before
        its first answer, each of them."""
        looking = self._looking_for_meters
        if looking is None:
            looking = self._looking_for_meters = asyncio.create_task(self._look_for_meters())
        elif self._version >= 0:
            return
        await asyncio.wait([looking], timeout=_LEDGER_SECONDS)

    async def _look_for_meters(self) -> None:
        try:
            newest = await self._ledger.newest_version()
            if newest != self._version:
                self._large = await self._ledger.fan_outs(above=self._policy.free)
                self._version = newest
        except Exception as error:
            # Events are accepted whatever the ledger suffers: the meters last known stand.
            self._causes.failed("meters", "new meters are not known, so no limit follows them", repr(error))
        else:
            self._causes.recovered("meters", "the meters are known again")
        finally:
            self._meters_known_until = self._timer() + _METER_SECONDS
            self._looking_for_meters = None

    async def _look_at_progress(self) -> None:
        """Forgets the work that is counted."""
        self._next_look = self._timer() + _LOOK_SECONDS
        unplaced = [work for works in self._waiting.values() for work in works if work.is_stored and work.ends is None]
        try:
            progress = await self._status.partitions()
        except TallyhouseError as error:
            self._causes.failed("progress", "what is counted is not known, so all of it counts as waiting", str(error))
            return
        self._causes.recovered("progress", "it is known again what is counted")
        for work in unplaced:
            work.ends = {partition.partition: partition.end_offset for partition in progress}
        for works in self._waiting.values():
            works[:] = [work for work in works if not work.is_counted(progress)]


def _count(posted: PostedBatch, large: Mapping[str, int]) -> dict[str, int]:
    """How many of the posted events have each of the names."""
    names = as_column(posted.valid.event_names).value_counts().to_pylist()
    return {entry["values"]: entry["counts"] for entry in names if entry["values"] in large}


def _rows_of(waiting: Sequence[_Work]) -> int:
    return sum(work.rows for work in waiting)
