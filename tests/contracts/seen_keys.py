"""The contract of every store for keys: all keys of earlier flushes, and no others."""

from collections.abc import Sequence

import pytest

from schemas.flush import SeenRows, Table
from tests.contracts.stores import Subject, key, rows_of
from tests.factories import NOW

LOOKED_UP = pytest.mark.parametrize("table", [Table.SEEN, Table.EVENTS])


async def look_up(subject: Subject, table: Table, below: int, names: Sequence[str]) -> dict[bytes, tuple[int, int]]:
    """Key hash → (body hash, arrival)."""
    find = subject.store.find if table is Table.SEEN else subject.store.find_events
    found = await find(0, below, [key(name) for name in names])
    assert isinstance(found, SeenRows)
    assert len(set(found.key_hashes)) == len(found.key_hashes) == len(found.body_hashes) == len(found.arrivals)
    return dict(zip(found.key_hashes, zip(found.body_hashes, found.arrivals, strict=True), strict=True))


@pytest.mark.anyio
class SeenKeysContract:
    """Subclasses give the fixture `subject`."""

    @LOOKED_UP
    async def test_a_known_key_is_found_with_its_body_and_arrival(self, subject: Subject, table: Table) -> None:
        """An unknown key is not found."""
        await subject.store.apply(table, 0, 0, rows_of(table, ["a", "bbb"]))
        assert await look_up(subject, table, 1, ["bbb", "c"]) == {key("bbb"): (3, NOW)}

    @LOOKED_UP
    async def test_looking_up_no_keys_finds_none(self, subject: Subject, table: Table) -> None:
        """In an empty store and in a filled one."""
        assert await look_up(subject, table, 9, []) == {}
        assert await look_up(subject, table, 9, ["a"]) == {}
        await subject.store.apply(table, 0, 0, rows_of(table, ["a"]))
        assert await look_up(subject, table, 9, []) == {}

    @LOOKED_UP
    async def test_only_flushes_below_are_read(self, subject: Subject, table: Table) -> None:
        """A redo must not take its own rows for duplicates, nor a late worker those of flushes after it."""
        for number, name in enumerate(["a", "b", "c"]):
            await subject.store.apply(table, 0, number, rows_of(table, [name], number=number))
        assert set(await look_up(subject, table, 0, ["a", "b", "c"])) == set()
        assert set(await look_up(subject, table, 1, ["a", "b", "c"])) == {key("a")}
        assert set(await look_up(subject, table, 2, ["a", "b", "c"])) == {key("a"), key("b")}

    @LOOKED_UP
    async def test_of_several_rows_the_latest_arrival_is_returned(self, subject: Subject, table: Table) -> None:
        """A key counted again after its window is known from that arrival on."""
        for number, arrival in enumerate([NOW, NOW + 900, NOW + 5]):
            rows = rows_of(table, ["a"], number=number, arrival=arrival, body_hash=arrival)
            await subject.store.apply(table, 0, number, rows)
        assert await look_up(subject, table, 3, ["a"]) == {key("a"): (NOW + 900, NOW + 900)}

    @LOOKED_UP
    async def test_keys_of_another_partition_are_not_found(self, subject: Subject, table: Table) -> None:
        """A key belongs to one partition."""
        await subject.store.apply(table, 1, 0, rows_of(table, ["a"], partition=1))
        assert await look_up(subject, table, 9, ["a"]) == {}

    async def test_many_keys_at_once(self, subject: Subject) -> None:
        """More keys than one statement of the store may have, some of them twice."""
        names = [f"key {index}" for index in range(5_000)]
        await subject.store.apply(Table.SEEN, 0, 0, rows_of(Table.SEEN, names))
        found = await look_up(subject, Table.SEEN, 1, [*names, "unknown", *names[:10]])
        assert set(found) == {key(name) for name in names}

    async def test_a_refill_holds_every_key_of_the_flushes_below(self, subject: Subject) -> None:
        """All of them, once each, and none of later flushes and other partitions."""
        flushes = {(0, 0): ["a", "b"], (0, 1): ["c"], (0, 2): ["late"], (1, 0): ["elsewhere"]}
        for (partition, number), names in flushes.items():
            rows = rows_of(Table.SEEN, names, number=number, partition=partition)
            await subject.store.apply(Table.SEEN, partition, number, rows)
        halves = [row for chunk in [chunk async for chunk in subject.store.all_hashes(0, 2)] for row in chunk.tolist()]
        keys = [high.to_bytes(8, "big") + low.to_bytes(8, "big") for high, low in halves]
        assert sorted(keys) == sorted(map(key, "abc"))
        assert await subject.store.count(0, 2) >= 3

    async def test_a_refill_of_nothing_is_empty(self, subject: Subject) -> None:
        """For a new partition, or a redo of its first flush."""
        await subject.store.apply(Table.SEEN, 0, 0, rows_of(Table.SEEN, ["a"]))
        assert [len(chunk) async for chunk in subject.store.all_hashes(5, 9)] == []
        assert [len(chunk) async for chunk in subject.store.all_hashes(0, 0)] == []
