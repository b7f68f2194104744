"""The contract of every ledger for requests to replay rejects."""

import asyncio

import pytest

from ingest_gateway.ports import ReplayResults
from schemas.errors import Conflict
from schemas.ids import AccountId
from schemas.listing import ReplayResult, Skipped
from tests.contracts.commands import command_of


def result_of(*ids: str) -> ReplayResult:
    return ReplayResult(replayed=ids, skipped=(Skipped(id="rej_2", reason="archived"),), more=True)


@pytest.mark.anyio
class RejectReplaysContract:
    """Subclasses give `replays`, on a ledger with the siblings `live` and `test`."""

    async def test_the_first_result_is_returned_again(
        self, replays: ReplayResults, live: AccountId, test: AccountId
    ) -> None:
        """For one key in one account; another request under the key is refused."""
        assert await replays.find(command_of(live, "k1")) is None
        assert not (await replays.record(command_of(live, "k1"), result_of("rej_1"))).is_replay
        late = await replays.record(command_of(live, "k1"), result_of("rej_9"))
        assert (late.is_replay, late.answer) == (True, result_of("rej_1"))
        assert await replays.find(command_of(live, "k1")) == result_of("rej_1")
        assert await replays.find(command_of(test, "k1")) is None
        with pytest.raises(Conflict):
            await replays.find(command_of(live, "k1", body="another"))

    async def test_without_a_key_no_result_is_stored(self, replays: ReplayResults, live: AccountId) -> None:
        """Each request is a new one."""
        for number in range(2):
            assert await replays.find(command_of(live)) is None
            assert (await replays.record(command_of(live), result_of(f"rej_{number}"))).answer.replayed == (
                f"rej_{number}",
            )

    async def test_simultaneous_requests_get_one_result(self, replays: ReplayResults, live: AccountId) -> None:
        """All of them get the same one."""
        racing = (replays.record(command_of(live, "k1"), result_of(f"rej_{number}")) for number in range(6))
        done = await asyncio.gather(*racing)
        assert len({each.answer.replayed for each in done}) == 1
        assert sum(not each.is_replay for each in done) == 1
