"""Records in the log that are no frames: reports each once, and steps over those that cannot hold accepted events.

A record without a gateway's header is stepped over, like an offset without a record. One that a gateway may have
written stops its partition until an operator decides to skip it. The decision is stored once and never withdrawn, so
every worker passes the record in the same way, also when it redoes a flush.
"""

from collections import Counter as Tally
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from schemas.errors import AwaitsDecision, StoreFailed
from schemas.foreign_record import ForeignRecord
from schemas.logger import Logger, NullLogger
from schemas.metrics import Counter, Metrics, NullMetrics

_MOST_WAITING = 1_000
"""Records that wait to be stored. Of a flood, the rest is only counted; the log holds all of them."""


class SetAsideRecords(Protocol):
    """The stored reports of foreign records, and the decisions to skip."""

    async def set_aside(self, records: Sequence[ForeignRecord]) -> None:
        """Stores the reports. Idempotent."""
        ...

    async def is_skipped(self, partition: int, offset: int) -> bool:
        """True once an operator has decided to skip the record."""
        ...


class ForeignRecords:
    """What one process has met. Belongs to the event loop of the log's clients."""

    def __init__(
        self,
        stored: SetAsideRecords | None = None,
        *,
        logger: Logger | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._stored = stored
        self._logger = logger or NullLogger()
        self._metrics = metrics or NullMetrics()
        self._reported_to: dict[int, int] = {}
        self._tally: Tally[str] = Tally()
        self._waiting: deque[ForeignRecord] = deque(maxlen=_MOST_WAITING)

    async def step_over(self, record: ForeignRecord) -> None:
        """Raises AwaitsDecision if the record may hold accepted events and no operator has decided to skip it."""
        self._report(record)
        if record.may_hold_events and not await self._is_skipped(record):
            raise AwaitsDecision(
                f"{record}. Nothing behind it is counted in this partition, because events that were answered "
                "`accepted` may be in it. Find out which program wrote or altered it. If no such event is lost with "
                f"it, `tallyhouse topics skip {record.partition} {record.offset}` shows it and steps over it."
            )

    async def store_reported(self) -> None:
        """Stores what was reported since the last call; what the store refuses waits for the next one."""
        if not self._waiting or self._stored is None:
            return
        records = list(self._waiting)
        try:
            await self._stored.set_aside(records)
        except StoreFailed as error:
            self._logger.warning("foreign records could not be set aside, retrying", reason=str(error))
        else:
            for _ in records:
                self._waiting.popleft()

    async def _is_skipped(self, record: ForeignRecord) -> bool:
        return self._stored is not None and await self._stored.is_skipped(record.partition, record.offset)

    def _report(self, record: ForeignRecord) -> None:
        # A partition is read forwards; what is read again was reported before.
        if record.offset <= self._reported_to.get(record.partition, -1):
            return
        self._reported_to[record.partition] = record.offset
        self._metrics.count(Counter.FOREIGN_RECORDS, 1, record.fault.value)
        self._waiting.append(record)
        self._tally[record.fault] += 1
        if _is_power_of_ten(self._tally[record.fault]):
            self._logger.error(
                "a record in the log is no frame of a gateway: find out which program writes to the topic",
                record=str(record),
                records_so_far=self._tally[record.fault],
            )


def _is_power_of_ten(number: int) -> bool:
    return str(number).strip("0") == "1"
