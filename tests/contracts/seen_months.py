"""The contract of every store for the months of its seen keys, and for dropping them."""

import msgspec
import pytest

from schemas.flush import UNCOUNTED, ApplyResult, Table
from stream_processors.ports import SeenMonths
from tests.contracts.stores import AnyStore, claim_of, key, rows_of
from tests.factories import NOW


class MonthsSubject(msgspec.Struct, frozen=True):
    """The months under test, and their store."""

    months: SeenMonths
    store: AnyStore

    async def count(self, number: int, names: list[str], month: int, *, partition: int = 0, arrival: int = NOW) -> None:
        """Applies the events and keys of a flush."""
        await self.store.claim(claim_of(number, partition))
        for table in (Table.EVENTS, Table.SEEN):
            rows = rows_of(table, names, number=number, partition=partition, arrival=arrival, month=month)
            await self.store.apply(table, partition, number, rows)
        await self.store.finish(partition, number, UNCOUNTED)


@pytest.mark.anyio
class SeenMonthsContract:
    """Subclasses give the fixture `subject`."""

    async def test_an_empty_store_has_no_months(self, subject: MonthsSubject) -> None:
        """Nor a last arrival."""
        assert await subject.months.seen_months() == []
        assert await subject.months.last_arrival(0) is None
        await subject.months.preserve_replay_keys(202601)
        await subject.months.drop_seen_month(202601)

    async def test_months_are_listed_in_order(self, subject: MonthsSubject) -> None:
        """Once each, for any partition and any order of writing."""
        for number, month in enumerate([202612, 202611, 202612]):
            await subject.count(number, [f"key {number}"], month, partition=number % 2)
        assert await subject.months.seen_months() == [202611, 202612]

    async def test_the_newest_arrival_is_by_partition(self, subject: MonthsSubject) -> None:
        """It is that of the partition's own keys."""
        await subject.count(0, ["a"], 202611, arrival=NOW + 5)
        await subject.count(1, ["b"], 202611, arrival=NOW)
        await subject.count(0, ["c"], 202701, partition=1, arrival=NOW + 900)
        assert await subject.months.last_arrival(0) == NOW + 5
        assert await subject.months.last_arrival(1) == NOW + 900
        assert await subject.months.last_arrival(2) is None

    async def test_a_dropped_month_takes_its_keys_and_nothing_else(self, subject: MonthsSubject) -> None:
        """Events and other months stay, and dropping is idempotent."""
        await subject.count(0, ["old"], 202608)
        await subject.count(1, ["young"], 202611)
        for _ in range(2):
            await subject.months.drop_seen_month(202608)
            assert await subject.months.seen_months() == [202611]
        keys = [key("old"), key("young")]
        assert (await subject.store.find(0, 9, keys)).key_hashes == [key("young")]
        assert sorted((await subject.store.find_events(0, 9, keys)).key_hashes) == sorted(keys)

    async def test_a_late_worker_cannot_bring_dropped_keys_back(self, subject: MonthsSubject) -> None:
        """The receipt is deleted with the rows, but the record that the flush is done is not."""
        await subject.count(0, ["old"], 202608)
        await subject.months.drop_seen_month(202608)
        again = await subject.store.apply(Table.SEEN, 0, 0, rows_of(Table.SEEN, ["old"], month=202608))
        assert again.result is ApplyResult.CLOSED
        assert await subject.months.seen_months() == []

    async def test_replay_keys_outlive_their_month(self, subject: MonthsSubject) -> None:
        """They are the keys without an event. Keys of events are deleted, and those of other months are not moved."""
        await subject.count(0, ["a", "b"], 202608, arrival=NOW)
        await subject.count(1, ["c"], 202611, arrival=NOW + 5)
        for number, month in ((100, 202608), (101, 202611)):
            rows = rows_of(Table.SEEN, [f"replay {number}"], number=number, month=month, arrival=NOW + number)
            await subject.store.apply(Table.SEEN, 0, number, rows)
        for _ in range(2):
            await subject.months.preserve_replay_keys(202608)
        await subject.months.drop_seen_month(202608)
        assert await subject.months.seen_months() == [202611]
        keys = [key(name) for name in ("a", "b", "c", "replay 100", "replay 101")]
        found = await subject.store.find(0, 999, keys)
        arrivals = dict(zip(found.key_hashes, found.arrivals, strict=True))
        assert arrivals == {keys[2]: NOW + 5, keys[3]: NOW + 100, keys[4]: NOW + 101}

    async def test_preserved_keys_do_not_delay_expiry(self, subject: MonthsSubject) -> None:
        """They belong to no month, and do not count as the newest key."""
        rows = rows_of(Table.SEEN, ["replay"], month=202608)
        await subject.store.apply(Table.SEEN, 0, 0, rows)
        await subject.months.preserve_replay_keys(202608)
        await subject.months.drop_seen_month(202608)
        assert await subject.months.seen_months() == []
        assert await subject.months.last_arrival(0) is None
        assert (await subject.store.find(0, 1, [key("replay")])).key_hashes == [key("replay")]
