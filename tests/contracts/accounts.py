"""The contract of every ledger for companies and their two accounts."""

import asyncio

import pytest

from ingest_gateway.ports import Accounts, ApiKeys
from schemas.account import Mode, Scope
from schemas.errors import Invalid, NotFound
from schemas.ids import AccountId


@pytest.mark.anyio
class AccountsContract:
    """Subclasses give the fixtures `accounts` and `api_keys`, on one empty ledger."""

    async def test_first_start_makes_an_admin_key(self, accounts: Accounts, api_keys: ApiKeys) -> None:
        """The first key has the admin and backfill scopes of the live account, and is found by its secret."""
        made = await accounts.bootstrap(None)
        assert made is not None
        key, token = made
        assert (key.mode, key.scopes) == (Mode.LIVE, frozenset({Scope.ADMIN, Scope.BACKFILL}))
        found = await api_keys.find(token)
        assert found is not None
        assert found.id == key.id

    @pytest.mark.parametrize("mode", list(Mode))
    async def test_a_given_token_is_installed(self, accounts: Accounts, api_keys: ApiKeys, mode: Mode) -> None:
        """A token from the operator works unchanged, in the mode that it names."""
        token = f"ak_{mode}_0123456789abcdefghij"
        assert await accounts.bootstrap(token) is not None
        found = await api_keys.find(token)
        assert found is not None
        assert found.mode is mode

    async def test_a_malformed_token_is_refused(self, accounts: Accounts) -> None:
        """A malformed bootstrap token is refused without being repeated, and no key is created."""
        with pytest.raises(Invalid) as refusal:
            await accounts.bootstrap("sk_live_secret0123456789")
        assert "secret" not in str(refusal.value)
        assert await accounts.bootstrap(None) is not None

    async def test_only_an_empty_ledger_is_bootstrapped(self, accounts: Accounts) -> None:
        """Neither a second start nor the second of two simultaneous first starts creates a key."""
        answers = await asyncio.gather(*(accounts.bootstrap(None) for _ in range(8)))
        assert sum(answer is not None for answer in answers) == 1
        assert await accounts.bootstrap(None) is None

    async def test_live_and_test_are_siblings(self, accounts: Accounts) -> None:
        """Each account's siblings are the other account of its company, and itself."""
        made = await accounts.bootstrap(None)
        assert made is not None
        live = made[0].account
        test = await accounts.account_for(live, Mode.TEST)
        assert test != live
        assert await accounts.account_for(test, Mode.LIVE) == live
        assert await accounts.account_for(test, Mode.TEST) == test

    async def test_an_unknown_account_has_no_sibling(self, accounts: Accounts) -> None:
        """For an account that does not exist there is no sibling."""
        with pytest.raises(NotFound):
            await accounts.account_for(AccountId("nobody"), Mode.LIVE)
