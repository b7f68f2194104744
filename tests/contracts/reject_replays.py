"""What every ledger does with requests to try rejects again."""

import asyncio

import pytest

from ingest_gateway.ports import Retries
from schemas.errors import Conflict
from schemas.ids import AccountId
from schemas.listing import Retried, Skipped
from tests.contracts.commands import by


def retried(*ids: str) -> Retried:
    return Retried(replayed=ids, skipped=(Skipped(id="rej_2", reason="archived"),), more=True)


@pytest.mark.anyio
class RetriesContract:
    """Subclasses give `retries`, on a ledger with the siblings `live` and `test`."""

    async def test_the_first_answer_stands(self, retries: Retries, live: AccountId, test: AccountId) -> None:
        """Under one key, in one account; another request under it is refused."""
        assert await retries.before(by(live, "k1")) is None
        assert not (await retries.keep(by(live, "k1"), retried("rej_1"))).is_replay
        late = await retries.keep(by(live, "k1"), retried("rej_9"))
        assert (late.is_replay, late.answer) == (True, retried("rej_1"))
        assert await retries.before(by(live, "k1")) == retried("rej_1")
        assert await retries.before(by(test, "k1")) is None
        with pytest.raises(Conflict):
            await retries.before(by(live, "k1", body="another"))

    async def test_without_a_key_nothing_is_remembered(self, retries: Retries, live: AccountId) -> None:
        """Each request is a new one."""
        for number in range(2):
            assert await retries.before(by(live)) is None
            assert (await retries.keep(by(live), retried(f"rej_{number}"))).answer.replayed == (f"rej_{number}",)

    async def test_of_several_at_once_one_answer_counts(self, retries: Retries, live: AccountId) -> None:
        """All of them are given the same one."""
        racing = (retries.keep(by(live, "k1"), retried(f"rej_{number}")) for number in range(6))
        done = await asyncio.gather(*racing)
        assert len({each.answer.replayed for each in done}) == 1
        assert sum(not each.is_replay for each in done) == 1
