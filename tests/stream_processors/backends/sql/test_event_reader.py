"""Listings of events and rejects, and how an event was counted."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from schemas.errors import Invalid
from schemas.ids import AccountId
from schemas.listing import EventQuery, MeterCount, Page, RejectQuery, Share
from schemas.tables import reject_id
from schemas.timestamps import DAY, SECOND
from tests.factories import ACCOUNT, NOW, Event, make_event, make_filter, make_meter, make_replay
from tests.stream_processors.backends.sql.step_by_step_flushes import StepByStepFlushes, home_of

OTHER = AccountId("other_live")


async def all_pages(list_page: Callable[[Any], Awaitable[Page]], query: Any) -> list[Any]:
    items: list[Any] = []
    while True:
        page = await list_page(query)
        assert len(page.items) <= query.limit
        items += page.items
        if page.next_cursor is None:
            return items
        query = msgspec.structs.replace(query, cursor=page.next_cursor)


def spread(count: int) -> dict[tuple[int, int], list[Event]]:
    """Events of two accounts, each in the partition of its key, a few per flush."""
    frames: dict[tuple[int, int], list[Event]] = {}
    for index in range(count):
        event = make_event(
            f"key {index}",
            {"n": index},
            account=OTHER if index % 5 == 0 else ACCOUNT,
            customer_id=f"c'{index % 3}",
            event_name="login" if index % 7 == 0 else "api.request",
            timestamp=NOW - index * DAY,
        )
        frames.setdefault((home_of(event.idempotency_key, event.account), index // 6), []).append(event)
    return frames


async def fill(flushes: StepByStepFlushes, frames: dict[tuple[int, int], list[Event]]) -> None:
    for (partition, number), events in frames.items():
        await flushes.count(events, [], number=number, partition=partition)


def expected(frames: dict[tuple[int, int], list[Event]], wanted: Callable[[Event], bool]) -> list[str]:
    """The newest arrival is first: flushes arrive in the order of their numbers, and a frame is one arrival."""
    places = [
        (NOW + number * SECOND, partition, number, place, event)
        for (partition, number), events in frames.items()
        for place, event in enumerate(events)
    ]
    places.sort(key=lambda place: place[:4], reverse=True)
    return [event.idempotency_key for *_, event in places if wanted(event)]


def keys(items: list[Any]) -> list[str]:
    return [item.idempotency_key for item in items]


def test_events_are_listed_newest_first_by_every_filter(flushes: StepByStepFlushes) -> None:
    """Pages of any size together list each event of the account once, in order of arrival."""
    frames = spread(60)
    ours = EventQuery(account=ACCOUNT)
    replace = msgspec.structs.replace
    cases: list[tuple[EventQuery, Callable[[Event], bool]]] = [
        (replace(ours, limit=7), lambda e: e.account == ACCOUNT),
        (replace(ours, account=OTHER), lambda e: e.account == OTHER),
        (replace(ours, account=AccountId("nobody")), lambda e: e.account == "nobody"),
        (replace(ours, customer_id="c'1", limit=3), lambda e: e.account == ACCOUNT and e.customer_id == "c'1"),
        (replace(ours, event_name="login", limit=1), lambda e: e.account == ACCOUNT and e.event_name == "login"),
        (replace(ours, idempotency_key="key 11"), lambda e: e.idempotency_key == "key 11"),
        (replace(ours, idempotency_key="key 10"), lambda e: e.account == ACCOUNT and e.idempotency_key == "key 10"),
        (
            replace(ours, start=NOW - 20 * DAY, end=NOW - 9 * DAY),
            lambda e: e.account == ACCOUNT and NOW - 20 * DAY <= e.timestamp < NOW - 9 * DAY,
        ),
    ]

    async def run() -> None:
        await fill(flushes, frames)
        for query, wanted in cases:
            assert keys(await all_pages(flushes.events.events, query)) == expected(frames, wanted)

    asyncio.run(run())


def test_later_arrivals_do_not_move_a_cursor(flushes: StepByStepFlushes) -> None:
    """The second page continues where the first ended, whatever arrived in between."""

    async def run() -> tuple[list[str], list[str]]:
        await flushes.count([make_event(f"a{i}") for i in range(4)], [], number=0)
        first = await flushes.events.events(EventQuery(account=ACCOUNT, limit=2))
        await flushes.count([make_event(f"b{i}") for i in range(4)], [], number=1)
        second = await flushes.events.events(EventQuery(account=ACCOUNT, limit=2, cursor=first.next_cursor))
        return keys([*first.items]), keys([*second.items])

    assert asyncio.run(run()) == (["a3", "a2"], ["a1", "a0"])


def test_an_event_is_listed_as_it_was_posted(flushes: StepByStepFlushes) -> None:
    """Texts are exact to the letter, times to the microsecond."""
    event = make_event("k'\\\t", '{"a" : 1.50,"b":"\\u00e9 \\\\ \'"}', timestamp=NOW - 123_456, flags=1)

    async def run() -> Page:
        await flushes.count([event], [], number=3, partition=home_of(event.idempotency_key))
        return await flushes.events.events(EventQuery(account=ACCOUNT, idempotency_key=event.idempotency_key))

    (stored,) = asyncio.run(run()).items
    assert (stored.properties, stored.timestamp, stored.backfill) == (event.properties, event.timestamp, True)
    assert (stored.arrival, stored.place.number, stored.place.place) == (NOW + 3 * SECOND, 3, 0)


@pytest.mark.parametrize("cursor", ["", "!", "bm9uZQ", "W10", "WzEsMiwzLDQsIngiXQ", "W" * 9000, "é"])
def test_a_foreign_cursor_is_refused(flushes: StepByStepFlushes, cursor: str) -> None:
    """A cursor that no listing returned is an error of the caller, not of the server."""
    with pytest.raises(Invalid, match="next_cursor"):
        asyncio.run(flushes.events.events(EventQuery(account=ACCOUNT, cursor=cursor)))
    with pytest.raises(Invalid, match="next_cursor"):
        asyncio.run(flushes.events.rejects(RejectQuery(account=ACCOUNT, cursor=cursor)))


def test_rejects_are_listed_in_full_with_their_replays(flushes: StepByStepFlushes) -> None:
    """Rejects are filtered by code, meter and id; replayed ones are marked, and excluded from the open ones."""
    tokens, cost = make_meter("tokens", "sum"), make_meter("cost", "sum", value_property="$.cost")
    bad = [make_event(f"bad {i}", {"tokens": "x" * i}) for i in range(1, 4)]

    async def listed(**changes: Any) -> list[str]:
        return [
            item.id
            for item in await all_pages(flushes.events.rejects, RejectQuery(account=ACCOUNT, limit=2, **changes))
        ]

    async def run() -> None:
        await flushes.count(bad, [tokens, cost], number=0)
        ids = [reject_id(0, 0, 0, place, meter) for place in (2, 1, 0) for meter in ("tokens", "cost")]
        assert await listed() == ids
        assert await listed(meter="cost") == ids[1::2]
        assert await listed(code="VALUE_NOT_A_NUMBER") == ids[0::2]
        assert await listed(ids=(ids[3], ids[0], "rej_0_0_0_0_other", "rej_x", "rej_99999999_1_2_3_a", "")) == [
            ids[0],
            ids[3],
        ]
        again = make_replay(bad[0], ids[4], "tokens")
        await flushes.count([again], [tokens, cost], number=1, partition=home_of(again.idempotency_key))
        (failed,) = set(await listed(open_only=True)) - set(ids)
        assert await listed(open_only=True) == [failed, *ids[:4], ids[5]]
        found = {item.id: item for item in (await flushes.events.rejects(RejectQuery(account=ACCOUNT))).items}
        assert found[ids[4]].replayed
        assert (found[failed].replay_of, found[failed].replayed, found[failed].meter) == (ids[4], False, "tokens")
        assert (found[ids[0]].properties, found[ids[0]].idempotency_key) == (bad[2].properties, "bad 3")

    asyncio.run(run())


def test_an_event_shows_how_each_meter_counted_it(flushes: StepByStepFlushes) -> None:
    """Counted with value and group, rejected with a reason, filtered out, or pending until a backfill."""
    meters = [
        make_meter(),
        make_meter("tokens", "sum", group_by={"model": "$.model"}),
        make_meter("cost", "max", value_property="$.cost"),
        make_meter("who", "unique", value_property="$.model"),
        make_meter("last", "latest"),
        make_meter("europe", filters=(make_filter("$.region", "eq", "eu"),)),
        make_meter("gone", archived_version=1),
    ]
    covered, pending = make_meter("covered", version=2), make_meter("pending", version=2)
    event = make_event("one", {"tokens": 2.5, "model": "small"})

    async def run() -> list[MeterCount]:
        partition = home_of("one")
        await flushes.count([event], meters, number=0, partition=partition)
        await flushes.backfill(covered, [event], partition, 0)
        (stored,) = (await flushes.events.events(EventQuery(account=ACCOUNT, idempotency_key="one"))).items
        return list(await flushes.events.counted(stored, [*meters, covered, pending]))

    count, tokens, cost, who, last, europe, late, waiting = asyncio.run(run())
    assert count == MeterCount(meter="requests", share=Share.COUNTED, value=Decimal(1))
    assert tokens == MeterCount(meter="tokens", share=Share.COUNTED, value=Decimal("2.5"), group={"model": "small"})
    assert (cost.share, cost.code) == (Share.REJECTED, "VALUE_MISSING")
    assert who == MeterCount(meter="who", share=Share.COUNTED)
    assert last == MeterCount(meter="last", share=Share.COUNTED, value=Decimal("2.5"))
    assert europe == MeterCount(meter="europe", share=Share.FILTERED)
    assert late == MeterCount(meter="covered", share=Share.COUNTED, value=Decimal(1))
    assert waiting == MeterCount(meter="pending", share=Share.PENDING)
