"""The contract of every ledger for API keys."""

import asyncio
import re

import pytest

from ingest_gateway.ports import ApiKeys
from schemas.account import ApiKey, Scope
from schemas.errors import Conflict, NotFound
from schemas.ids import AccountId
from schemas.timestamps import DAY, MINUTE
from tests.contracts.commands import command_of, key_for


class ManualClock:
    """A clock that only a test moves."""

    def __init__(self) -> None:
        self.now = 1_800_000_000_000_000

    def __call__(self) -> int:
        return self.now


async def _revoke_all(api_keys: ApiKeys, account: AccountId) -> None:
    for key in await api_keys.list(account):
        await api_keys.revoke(command_of(account), key.id, force=True)


@pytest.mark.anyio
class ApiKeysContract:
    """Subclasses give `api_keys`, the siblings `live` and `test`, and the `clock` the ledger reads."""

    async def test_a_new_key_is_found_by_its_secret(self, api_keys: ApiKeys, live: AccountId) -> None:
        """The key found is the key created; the secret has the documented form and is long enough."""
        key, token = await api_keys.create(command_of(live), key_for(live, "meter reader", Scope.READ, Scope.INGEST))
        assert re.fullmatch(r"ak_live_[A-Za-z0-9_-]{32,}", token)
        assert token.startswith(key.prefix)
        found = await api_keys.find(token)
        assert found is not None
        assert (found.id, found.account, found.name, found.scopes) == (key.id, live, "meter reader", key.scopes)

    async def test_the_mode_is_the_account_s(self, api_keys: ApiKeys, test: AccountId) -> None:
        """The secret of a test account's key contains the mode."""
        key, token = await api_keys.create(command_of(test), key_for(test, "t"))
        assert token.startswith("ak_test_")
        assert key.mode == "test"

    async def test_no_other_secret_finds_a_key(self, api_keys: ApiKeys, live: AccountId) -> None:
        """A secret that is one character off, longer, empty, or hostile text finds no key."""
        _, token = await api_keys.create(command_of(live), key_for(live))
        for wrong in (token[:-1], token + "x", token.swapcase(), "", "' OR 1=1 --", "\udcff", "ak_live_%"):
            assert await api_keys.find(wrong) is None

    async def test_secrets_differ(self, api_keys: ApiKeys, live: AccountId) -> None:
        """No two keys share a secret or an id."""
        made = [await api_keys.create(command_of(live), key_for(live)) for _ in range(20)]
        assert len({token for _, token in made}) == len({key.id for key, _ in made}) == 20

    async def test_a_revoked_key_is_found_as_revoked(
        self, api_keys: ApiKeys, live: AccountId, clock: ManualClock
    ) -> None:
        """A revoked key can be reported as revoked; the first revocation counts."""
        key, token = await api_keys.create(command_of(live), key_for(live))
        first = (await api_keys.revoke(command_of(live), key.id)).answer
        clock.now += MINUTE
        assert (await api_keys.revoke(command_of(live), key.id)).answer == first
        found = await api_keys.find(token)
        assert found is not None
        assert found.revoked_at == first.revoked_at == clock.now - MINUTE

    async def test_keys_belong_to_one_account(self, api_keys: ApiKeys, live: AccountId, test: AccountId) -> None:
        """One account neither lists nor revokes another's key, not even its sibling's."""
        key, token = await api_keys.create(command_of(live), key_for(live))
        assert key.id not in {other.id for other in await api_keys.list(test)}
        with pytest.raises(NotFound):
            await api_keys.revoke(command_of(test), key.id)
        found = await api_keys.find(token)
        assert found is not None
        assert found.revoked_at is None

    async def test_listing_is_oldest_first(self, api_keys: ApiKeys, live: AccountId, clock: ManualClock) -> None:
        """All keys of the account, revoked ones too, in the order of creation."""
        before = [key.id for key in await api_keys.list(live)]
        made = []
        for number in range(3):
            clock.now += 1
            made.append((await api_keys.create(command_of(live), key_for(live, f"k{number}")))[0].id)
        await api_keys.revoke(command_of(live), made[1])
        assert [key.id for key in await api_keys.list(live)] == [*before, *made]

    async def test_unknown_accounts_get_no_key(self, api_keys: ApiKeys) -> None:
        """A key is only created for an existing account."""
        with pytest.raises(NotFound):
            await api_keys.create(command_of(AccountId("nobody")), key_for(AccountId("nobody")))

    async def test_last_use_is_recorded(self, api_keys: ApiKeys, live: AccountId, clock: ManualClock) -> None:
        """A used key has the time of its last use, accurate to about a minute; an unused one has none."""
        key, token = await api_keys.create(command_of(live), key_for(live))
        assert await self._last_use(api_keys, live, key.id) is None
        await api_keys.find(token)
        first = clock.now
        assert await self._last_use(api_keys, live, key.id) == first
        clock.now += MINUTE
        await api_keys.find(token)
        assert await self._last_use(api_keys, live, key.id) == first + MINUTE

    async def test_an_expiry_is_stored(self, api_keys: ApiKeys, live: AccountId, clock: ManualClock) -> None:
        """A key is found and listed with its expiry, before and after; after it the key is invalid."""
        ends = clock.now + DAY
        key, token = await api_keys.create(command_of(live), key_for(live, expires_at=ends))
        assert key.expires_at == ends
        clock.now = ends - 1
        assert (await self._found(api_keys, token)).is_valid(clock.now)
        clock.now = ends + MINUTE
        assert not (await self._found(api_keys, token)).is_valid(clock.now)
        assert await self._last_use(api_keys, live, key.id) == ends - 1
        assert ends in [other.expires_at for other in await api_keys.list(live)]

    async def test_a_repeated_request_creates_no_second_key(self, api_keys: ApiKeys, live: AccountId) -> None:
        """The secret is not stored and cannot be returned again; the error names the first key, which stays valid."""
        key, token = await api_keys.create(command_of(live, "k1"), key_for(live))
        before = await api_keys.list(live)
        with pytest.raises(Conflict, match=key.id) as refusal:
            await api_keys.create(command_of(live, "k1"), key_for(live))
        assert refusal.value.code == "SECRET_SHOWN_ONCE"
        assert token not in refusal.value.message
        with pytest.raises(Conflict) as other:
            await api_keys.create(command_of(live, "k1", body="another"), key_for(live))
        assert other.value.code == "IDEMPOTENCY_KEY_REUSED"
        assert await api_keys.list(live) == before

    async def test_a_repeated_revocation_is_answered_as_before(
        self, api_keys: ApiKeys, live: AccountId, clock: ManualClock
    ) -> None:
        """The result says that it is a repetition."""
        key, _ = await api_keys.create(command_of(live), key_for(live))
        first = await api_keys.revoke(command_of(live, "k1"), key.id)
        clock.now += MINUTE
        again = await api_keys.revoke(command_of(live, "k1"), key.id)
        assert (first.is_replay, again.is_replay, again.answer) == (False, True, first.answer)

    async def test_the_last_admin_key_is_revoked_by_force_alone(
        self, api_keys: ApiKeys, live: AccountId, clock: ManualClock
    ) -> None:
        """Without another admin key that is valid as long, nobody could create one: not now, or not later."""
        await _revoke_all(api_keys, live)
        own, _ = await api_keys.create(command_of(live), key_for(live, "own", Scope.ADMIN))
        await api_keys.create(command_of(live), key_for(live, "reader", Scope.READ))
        await api_keys.create(command_of(live), key_for(live, "ends", Scope.ADMIN, expires_at=clock.now + DAY))
        with pytest.raises(Conflict, match="--force") as refusal:
            await api_keys.revoke(command_of(live), own.id)
        assert refusal.value.code == "LAST_ADMIN_KEY"
        other, _ = await api_keys.create(command_of(live), key_for(live, "other", Scope.ADMIN))
        assert (await api_keys.revoke(command_of(live), own.id)).answer.revoked_at == clock.now
        with pytest.raises(Conflict):
            await api_keys.revoke(command_of(live), other.id)
        assert (await api_keys.revoke(command_of(live), other.id, force=True)).answer.revoked_at == clock.now

    async def test_of_two_admins_that_revoke_each_other_one_stays(self, api_keys: ApiKeys, live: AccountId) -> None:
        await _revoke_all(api_keys, live)
        made = [await api_keys.create(command_of(live), key_for(live, "own", Scope.ADMIN)) for _ in range(2)]
        answers = await asyncio.gather(
            *(api_keys.revoke(command_of(live), key.id) for key, _ in made), return_exceptions=True
        )
        assert sorted(type(answer).__name__ for answer in answers) == ["Applied", "Conflict"]

    async def test_a_live_admin_key_can_replace_the_last_one_of_the_test_account(
        self, api_keys: ApiKeys, live: AccountId, test: AccountId
    ) -> None:
        await api_keys.create(command_of(live), key_for(live, "own", Scope.ADMIN))
        key, _ = await api_keys.create(command_of(test), key_for(test, "own", Scope.ADMIN))
        assert (await api_keys.revoke(command_of(test), key.id)).answer.revoked_at is not None

    async def _found(self, api_keys: ApiKeys, token: str) -> ApiKey:
        found = await api_keys.find(token)
        assert found is not None
        return found

    async def _last_use(self, api_keys: ApiKeys, account: AccountId, key_id: str) -> int | None:
        return next(key.last_used_at for key in await api_keys.list(account) if key.id == key_id)
