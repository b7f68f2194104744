"""The contract of every ledger for meters and meter sets."""

import asyncio
from decimal import Decimal
from typing import Protocol

import pytest
from msgspec.structs import replace

from ingest_gateway.ports import FanOuts, MeterCatalog, MeterDefinition
from schemas.errors import Alarm, Conflict, NotFound
from schemas.ids import AccountId
from schemas.meter import Aggregation, FilterOp, MeterFilter
from stream_processors.ports import MeterSets
from tests.contracts.commands import command_of


class MeterLedger(MeterCatalog, MeterSets, FanOuts, Protocol):
    """One adapter of all these ports, so that created meters are counted."""


def new_meter(code: str = "tokens") -> MeterDefinition:
    return MeterDefinition(
        code=code,
        name="Tokens",
        event_name="api.request",
        aggregation="sum",
        value_property="$.tokens",
        group_by={"model": "$.model", "a": "$.b"},
        filters=(
            MeterFilter(property="$.share", op=FilterOp.GT, value=Decimal("0.1000000000000000055511151231257827")),
            MeterFilter(property="$.region", op=FilterOp.IN, value=["eu", 7, True, None]),
            MeterFilter(property="$.x", op=FilterOp.EXISTS, value=False),
        ),
        unit="token",
    )


@pytest.mark.anyio
class MetersContract:
    """Subclasses give `meters`, on a ledger with the siblings `live` and `test` and no meters."""

    async def test_a_meter_is_read_back_as_created(self, meters: MeterLedger, live: AccountId) -> None:
        """Every field keeps its value: the order of the groups, each digit of a number, each JSON type."""
        made = (await meters.create(command_of(live), new_meter())).answer
        assert made.aggregation is Aggregation.SUM
        assert list(made.group_by) == ["model", "a"]
        assert await meters.get(live, "tokens") == made
        (limit, region, _) = (await meters.get(live, "tokens")).filters
        assert limit.value == Decimal("0.1000000000000000055511151231257827")
        assert [type(value) for value in region.value] == [str, int, bool, type(None)]

    async def test_fan_outs_are_those_of_each_account(
        self, meters: MeterLedger, live: AccountId, test: AccountId
    ) -> None:
        """Archived meters count nothing, and an account's meters count its own events alone."""
        for account, code, event_name in (
            (live, "a", "api.request"),
            (live, "b", "api.request"),
            (live, "c", "api.request"),
            (live, "d", "login"),
            (test, "a", "api.request"),
            (test, "b", "api.request"),
        ):
            await meters.create(command_of(account), replace(new_meter(code), event_name=event_name))
        assert await meters.fan_outs(above=0) == {live: {"api.request": 3, "login": 1}, test: {"api.request": 2}}
        await meters.archive(command_of(live), "b")
        assert await meters.fan_outs(above=1) == {live: {"api.request": 2}, test: {"api.request": 2}}
        assert await meters.fan_outs(above=2) == {}

    async def test_each_new_meter_makes_a_set(self, meters: MeterLedger, live: AccountId, test: AccountId) -> None:
        """Versions increase by one over all accounts, and a set holds the meters of all accounts."""
        assert await meters.newest_version() == 0
        first = (await meters.create(command_of(live), new_meter())).answer
        second = (await meters.create(command_of(test), new_meter())).answer
        assert (first.version, second.version, await meters.newest_version()) == (1, 2, 2)
        assert (await meters.at_version(1)).meters == (first,)
        assert (await meters.at_version(2)).meters == (first, second)
        assert (await meters.at_version(0)).meters == ()

    async def test_codes_are_never_used_twice(self, meters: MeterLedger, live: AccountId, test: AccountId) -> None:
        """A used code is refused, after archiving too, and creates no set; another account may use it."""
        await meters.create(command_of(live), new_meter())
        with pytest.raises(Conflict):
            await meters.create(command_of(live), new_meter())
        await meters.archive(command_of(live), "tokens")
        with pytest.raises(Conflict):
            await meters.create(command_of(live), new_meter())
        assert await meters.newest_version() == 2
        assert (await meters.create(command_of(test), new_meter())).answer.version == 3

    async def test_archiving_does_not_change_old_sets(self, meters: MeterLedger, live: AccountId) -> None:
        """An archived meter is in the earlier sets, unchanged, and in none after; archiving is idempotent."""
        made = (await meters.create(command_of(live), new_meter())).answer
        archived = (await meters.archive(command_of(live), "tokens")).answer
        assert archived.archived_version == 2
        assert (await meters.archive(command_of(live), "tokens")).answer == archived
        assert await meters.get(live, "tokens") == archived
        assert await meters.newest_version() == 2
        assert (await meters.at_version(1)).meters == (made,)
        assert (await meters.at_version(2)).meters == ()

    async def test_renaming_makes_no_set(self, meters: MeterLedger, live: AccountId) -> None:
        """Name and unit change independently, a unit can be removed, and counting continues as before."""
        await meters.create(command_of(live), new_meter())
        assert (await meters.rename(command_of(live), "tokens", {"name": "T"})).answer.unit == "token"
        renamed = (await meters.rename(command_of(live), "tokens", {"unit": None})).answer
        assert (renamed.name, renamed.unit) == ("T", None)
        assert (
            (await meters.rename(command_of(live), "tokens", {})).answer == renamed == await meters.get(live, "tokens")
        )
        assert await meters.newest_version() == 1

    async def test_a_repeated_request_is_answered_as_before(self, meters: MeterLedger, live: AccountId) -> None:
        """To the digit, whatever happened to the meter in between, and no second set is created."""
        first = await meters.create(command_of(live, "k1"), new_meter())
        await meters.rename(command_of(live), "tokens", {"name": "T"})
        again = await meters.create(command_of(live, "k1"), new_meter())
        assert (again.is_replay, again.answer) == (True, first.answer)
        gone = await meters.archive(command_of(live, "k2"), "tokens")
        assert (await meters.archive(command_of(live, "k2"), "tokens")).answer == gone.answer
        with pytest.raises(Conflict, match="another request"):
            await meters.create(command_of(live, "k1", body="another"), new_meter("other"))
        assert await meters.newest_version() == 2

    async def test_meters_belong_to_one_account(self, meters: MeterLedger, live: AccountId, test: AccountId) -> None:
        """Another account's meter cannot be read, renamed, archived or listed."""
        await meters.create(command_of(live), new_meter())
        stranger = command_of(test)
        tries = (meters.get(test, "tokens"), meters.rename(stranger, "tokens", {}), meters.archive(stranger, "tokens"))
        for attempt in tries:
            with pytest.raises(NotFound):
                await attempt
        assert await meters.list(test) == []

    async def test_listing_is_oldest_first(self, meters: MeterLedger, live: AccountId) -> None:
        """All meters, archived ones too, in the order of creation."""
        for code in ("b", "a", "c"):
            await meters.create(command_of(live), new_meter(code))
        await meters.archive(command_of(live), "a")
        assert [meter.code for meter in await meters.list(live)] == ["b", "a", "c"]

    async def test_a_set_of_the_future_is_an_alarm(self, meters: MeterLedger) -> None:
        """A version that was never created means that the ledger is older than the flushes counted with it."""
        with pytest.raises(Alarm, match="backup"):
            await meters.at_version(1)

    async def test_simultaneous_changes_share_no_version(self, meters: MeterLedger, live: AccountId) -> None:
        """For any number of simultaneous changes, versions have neither gaps nor repeats."""
        await meters.create(command_of(live), new_meter("old"))
        making = [meters.create(command_of(live), new_meter(f"m{number}")) for number in range(12)]
        archiving = [meters.archive(command_of(live), "old") for _ in range(4)]
        done = await asyncio.gather(asyncio.gather(*making), asyncio.gather(*archiving))
        made, archived = ([each.answer for each in changes] for changes in done)
        assert len({meter.archived_version for meter in archived}) == 1
        versions = [1, archived[0].archived_version, *(meter.version for meter in made)]
        assert sorted(version or 0 for version in versions) == list(range(1, 15))

    async def test_a_code_raced_for_is_won_once(self, meters: MeterLedger, live: AccountId) -> None:
        """Of several simultaneous requests for one code, one succeeds and the others are refused."""
        racing = (meters.create(command_of(live), new_meter()) for _ in range(6))
        answers = await asyncio.gather(*racing, return_exceptions=True)
        assert sum(isinstance(answer, Conflict) for answer in answers) == 5
        assert await meters.newest_version() == 1
