"""Readers and a log that hold what a test gives them, by account as the real ones do."""

from collections.abc import Sequence
from decimal import Decimal

from ingest_gateway.ingest.batch import BatchOutcome, PostedBatch
from schemas.flush import PartitionStatus
from schemas.frame import NewFrame
from schemas.ids import AccountId
from schemas.listing import EventPlace, EventQuery, MeterCount, Page, Reject, RejectQuery, Share, StoredEvent
from schemas.meter import Meter
from schemas.timestamps import MINUTE
from schemas.usage import BackfillStatus, UsageQuery, UsageResult, UsageRow
from schemas.verification import MeterDay, UsageDifference, VerificationStatus, Verified
from schemas.watermark import Watermark

NOW = 1_800_000_000_000_000


class FakeReader:
    """Usage, events and rejects by account; records every query."""

    def __init__(self) -> None:
        self.values: dict[AccountId, dict[str, Decimal]] = {}
        self.stored: list[StoredEvent] = []
        self.stored_rejects: list[Reject] = []
        self.verified: list[tuple[AccountId, str, int, int, str | None, int]] = []
        self.queries: list[UsageQuery | EventQuery | RejectQuery] = []

    async def usage(self, query: UsageQuery) -> UsageResult:
        self.queries.append(query)
        rows = tuple(
            UsageRow(
                meter=query.meter.code,
                customer_id=customer,
                window_start=query.start,
                window_end=query.end,
                group=dict.fromkeys(query.group_by),
                value=value,
            )
            for customer, value in self.values.get(query.account, {}).items()
            if not query.customers or customer in query.customers
        )
        more = "more" if len(rows) > query.limit else None
        return UsageResult(rows=rows[: query.limit], watermark=Watermark(flushes={1: 7, 0: 9}), next_cursor=more)

    async def backfill(self, meter: Meter) -> BackfillStatus:
        return BackfillStatus(done=False, chunks_done=meter.version, chunks_total=None)

    async def watermark(self) -> Watermark:
        return Watermark(flushes={0: 9})

    async def days(self, accounts: Sequence[AccountId], start: int, end: int) -> Sequence[MeterDay]:
        return [
            MeterDay(account=account, meter=f"meter of {account}", start=start, events=3, rows=2)
            for account in accounts
            if account in self.values and end > start
        ]

    async def verify(
        self, account: AccountId, meter: str, start: int, end: int, *, cursor: str | None, limit: int
    ) -> Verified:
        self.verified.append((account, meter, start, end, cursor, limit))
        differences = tuple(
            UsageDifference(
                account=account,
                meter=meter,
                customer_id=customer,
                window_start=start,
                window_end=start + MINUTE,
                group={},
                counted=value,
                recounted=None,
            )
            for customer, value in self.values.get(account, {}).items()
        )
        return Verified(
            events=3,
            differences=differences,
            difference_count=len(differences),
            watermark=Watermark(flushes={1: 7, 0: 9}),
            next_cursor=None if cursor else "more",
        )

    async def events(self, query: EventQuery) -> Page:
        self.queries.append(query)
        found = [event for event in self.stored if event.account == query.account]
        return Page(items=tuple(found[: query.limit]), next_cursor="more" if len(found) > query.limit else None)

    async def counted(self, event: StoredEvent, meters: Sequence[Meter]) -> Sequence[MeterCount]:
        return [MeterCount(meter=meter.code, share=Share.COUNTED, value=Decimal("1.50")) for meter in meters]

    async def rejects(self, query: RejectQuery) -> Page:
        self.queries.append(query)
        found = [
            reject
            for reject in self.stored_rejects
            if reject.account == query.account
            and (not query.ids or reject.id in query.ids)
            and (query.meter is None or reject.meter == query.meter)
            and (query.code is None or reject.code == query.code)
            and not (query.open_only and reject.replayed)
        ]
        return Page(items=tuple(found[: query.limit]), next_cursor="more" if len(found) > query.limit else None)

    async def backfills(self) -> str:
        return "stopped: a frame cannot be read"

    async def verification(self) -> VerificationStatus:
        return VerificationStatus(state="verified", verified_until=NOW)

    async def partitions(self) -> Sequence[PartitionStatus]:
        return [
            PartitionStatus(
                partition=0, flush=9, next_offset=4, end_offset=6, lag_frames=2, lag_seconds=1.5, state="running"
            )
        ]


class FakeIntake:
    """Accepts every valid event and records it, or gives the answer that a test sets."""

    def __init__(self) -> None:
        self.posted: list[PostedBatch] = []
        self.answer: BatchOutcome | Exception | None = None

    async def submit(self, posted: PostedBatch) -> BatchOutcome:
        self.posted.append(posted)
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer
        held_back = len(posted.valid) if posted.strict and posted.rejections else 0
        accepted = len(posted.valid) - held_back
        return BatchOutcome(accepted=accepted, duplicates=0, rejections=posted.rejections, held_back=held_back)


class FakeSink:
    """A log writer that keeps the appended frames."""

    def __init__(self) -> None:
        self.frames: list[NewFrame] = []

    async def append(self, frames: Sequence[NewFrame]) -> None:
        self.frames += frames


def stored_event(account: AccountId, key: str = "k1") -> StoredEvent:
    return StoredEvent(
        account=account,
        event_name="api.request",
        idempotency_key=key,
        customer_id=f"customer of {account}",
        timestamp=NOW - MINUTE,
        properties='{"tokens": 1.50,  "b":12345678901234567890}',
        arrival=NOW,
        request_id="req_1",
        backfill=False,
        place=EventPlace(partition=0, number=0, offset=0, place=0),
    )


def make_reject(account: AccountId, number: int, *, meter: str | None = "tokens", replayed: bool = False) -> Reject:
    return Reject(
        id=f"rej_0_0_0_{number}_{meter or ''}",
        account=account,
        meter=meter,
        code="VALUE_MISSING" if meter else "IDEMPOTENCY_CONFLICT",
        message="no $.tokens",
        event_name="api.request",
        idempotency_key=f"k{number}",
        customer_id=f"customer of {account}",
        timestamp=NOW - MINUTE,
        properties="{}",
        arrival=NOW,
        request_id="req_1",
        replay_of=None,
        replayed=replayed,
    )
