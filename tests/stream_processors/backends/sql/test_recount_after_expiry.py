"""A recount needs only the seen keys preserved for it: it gives the same result after their months are dropped."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from schemas.listing import Reject, RejectQuery
from schemas.meter import Meter
from schemas.timestamps import DAY, MINUTE
from schemas.usage import UsageQuery, UsageResult, Window
from schemas.watermark import Watermark
from tests.factories import ACCOUNT, NOW, Event, make_event, make_meter, make_replay
from tests.stream_processors.backends.sql.step_by_step_flushes import PARTITIONS, StepByStepFlushes, home_of

# How the store is reached makes no difference here.
pytestmark = pytest.mark.parametrize(
    "new_store",
    ["in_this_process", pytest.param("of_shards", marks=pytest.mark.long)],
    indirect=True,
    scope="session",
)

START = (NOW - DAY) // MINUTE * MINUTE
METERS = [
    make_meter("requests"),
    make_meter("tokens", "sum"),
    make_meter("last", "latest"),
    make_meter("who", "unique"),
]


def queries() -> list[UsageQuery]:
    per_meter = [UsageQuery(account=ACCOUNT, meter=meter, start=START, end=START + 3 * DAY) for meter in METERS]
    return [*per_meter, msgspec.structs.replace(per_meter[1], window=Window.HOUR, customers=("c1", "c2"))]


def some(flush: int, partition: int) -> list[Event]:
    """Events of a flush, one of them with a value that cannot be summed."""
    return [
        make_event(f"{partition}/{flush}/{i}", {"tokens": "many" if i == 2 else flush + i}, customer_id=f"c{i}")
        for i in range(3)
    ]


class ReplayedPast:
    """Flushes of both partitions, and replayed rejects: two then have a value, one has none, one is not replayed."""

    def __init__(self, flushes: StepByStepFlushes) -> None:
        self._flushes = flushes
        self._flushes.apart = 10 * DAY
        self._next = dict.fromkeys(range(PARTITIONS), 0)

    async def count(self, partition: int, events: Sequence[Event], meters: Sequence[Meter] = METERS) -> None:
        await self._flushes.count(events, meters, number=self._next[partition], partition=partition)
        self._next[partition] += 1

    async def happen(self) -> None:
        for flush in range(2):
            for partition in range(PARTITIONS):
                await self.count(partition, some(flush, partition))
        rejects = await self.rejects()
        for reject, value in zip(rejects, ("5", "7.5", '"none"'), strict=False):
            again = make_event(
                reject.idempotency_key, f'{{"tokens": {value}}}', customer_id="c2", timestamp=reject.timestamp
            )
            replay = make_replay(again, reject.id, "tokens")
            await self.count(home_of(replay.idempotency_key), [replay])
            # As if its cause had been fixed since: the replay is measured with a value.
            await self._flushes.change(
                "ALTER TABLE rejects UPDATE properties = {properties:String}"
                " WHERE idempotency_key = {key:String} AND replay_of = '' SETTINGS mutations_sync = 1",
                {"properties": again.properties, "key": reject.idempotency_key},
            )
        for partition in range(PARTITIONS):
            await self.count(partition, some(9, partition))

    async def rejects(self) -> list[Reject]:
        found = (await self._flushes.events.rejects(RejectQuery(account=ACCOUNT, meter="tokens"))).items
        return sorted(found, key=lambda reject: reject.id)

    def watermarks(self) -> list[Watermark]:
        """Watermarks of one partition, from before the replays, after the first of them, and at the end."""
        end = {p: following - 1 for p, following in self._next.items()}
        return [Watermark(flushes=flushes) for flushes in ({0: 1}, {0: 1, 1: 1}, {0: 2, 1: 2}, end)]


async def recounts(flushes: StepByStepFlushes, past: ReplayedPast) -> list[UsageResult]:
    return [await flushes.recount.usage_at(query, watermark) for watermark in past.watermarks() for query in queries()]


@pytest.mark.long
def test_a_recount_is_the_same_when_the_months_of_its_keys_have_expired(flushes: StepByStepFlushes) -> None:
    """At every watermark and for every aggregation, replayed rejects included; the listings are the same as well."""

    async def run() -> None:
        past = ReplayedPast(flushes)
        await past.happen()
        usage = [await flushes.usage.usage(query) for query in queries()]
        before, rejects = await recounts(flushes, past), await past.rejects()
        assert before[-len(usage) :] == usage
        months = flushes.months
        expired = await months.seen_months()
        assert len(expired) > 1
        for month in expired:
            await months.preserve_replay_keys(month)
            await months.drop_seen_month(month)
            assert await recounts(flushes, past) == before
            assert await past.rejects() == rejects
        assert await months.seen_months() == []
        assert [await flushes.usage.usage(query) for query in queries()] == usage

    asyncio.run(run())


def test_without_the_preserved_keys_the_recount_would_lack_replayed_rejects(flushes: StepByStepFlushes) -> None:
    """This proves that the test above can fail."""

    async def run() -> None:
        past = ReplayedPast(flushes)
        await past.happen()
        tokens, end = queries()[1], past.watermarks()[-1]
        before = await flushes.recount.usage_at(tokens, end)
        months = flushes.months
        for month in await months.seen_months():
            await months.drop_seen_month(month)
        assert await flushes.recount.usage_at(tokens, end) != before

    asyncio.run(run())
