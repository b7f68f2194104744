"""Usage for tests of billing: events in a list, counted by a plain loop, at a watermark that grows with them."""

from collections import defaultdict
from decimal import Decimal

import msgspec

from schemas.errors import NotFound
from schemas.ids import AccountId
from schemas.meter import Aggregation, Meter
from schemas.usage import BackfillStatus, UsageQuery, UsageResult, UsageRow
from schemas.watermark import Watermark


class UsageEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event, as far as it is counted."""

    customer: str
    at: int
    value: Decimal
    group: dict[str, str | None] = {}
    meter: str = "tokens"


class CountedUsage:
    """The ports `BillingUsageReader`, `Recount` and `MeterReader` over a list of events; sums only."""

    def __init__(self, *codes: str, group_by: tuple[str, ...] = (), rows_at_once: int = 10**9) -> None:
        self.events: list[UsageEvent] = []
        self.queries: list[UsageQuery] = []
        self.backfills_read: list[str] = []
        self.is_backfilled = True
        self._rows_at_once = rows_at_once
        self._meters = {code: _meter(code, group_by) for code in codes or ("tokens",)}

    async def get(self, account: AccountId, code: str) -> Meter:
        if code not in self._meters:
            raise NotFound(f"there is no meter {code}")
        return msgspec.structs.replace(self._meters[code], account=account)

    async def backfill(self, meter: Meter) -> BackfillStatus:
        self.backfills_read.append(meter.code)
        return BackfillStatus(done=self.is_backfilled, chunks_done=0, chunks_total=1)

    async def usage(self, query: UsageQuery) -> UsageResult:
        self.queries.append(query)
        return self._answer(query, len(self.events))

    async def usage_at(self, query: UsageQuery, watermark: Watermark) -> UsageResult:
        return self._answer(query, watermark.flushes[0] + 1)

    def _answer(self, query: UsageQuery, events: int) -> UsageResult:
        sums: dict[tuple[str, tuple[str | None, ...]], Decimal] = defaultdict(Decimal)
        for event in self.events[:events]:
            named = event.customer in query.customers and event.meter == query.meter.code
            if named and query.start <= event.at < query.end and _passes(event, query):
                sums[event.customer, tuple(event.group.get(key) for key in query.group_by)] += event.value
        rows = [
            UsageRow(
                meter=query.meter.code,
                customer_id=customer,
                window_start=query.start,
                window_end=query.end,
                group=dict(zip(query.group_by, group, strict=True)),
                value=value,
            )
            for (customer, group), value in sums.items()
        ]
        cut = rows[: self._rows_at_once]
        return UsageResult(
            rows=tuple(cut),
            watermark=Watermark(flushes={0: events - 1}),
            next_cursor="more" if len(cut) < len(rows) else None,
        )


def _passes(event: UsageEvent, query: UsageQuery) -> bool:
    return all(event.group.get(key) in values for key, values in query.groups.items())


def _meter(code: str, group_by: tuple[str, ...]) -> Meter:
    return Meter(
        account=AccountId("none"),
        code=code,
        name=code,
        event_name=code,
        aggregation=Aggregation.SUM,
        value_property="$.value",
        group_by={key: f"$.{key}" for key in group_by},
        version=1,
        created_at=0,
    )
