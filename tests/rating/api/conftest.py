"""Fixtures of the billing API: the app over a real ledger, as two accounts use it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from rating.ledger.engine import create_engine
from schemas.account import Mode, Scope
from tests.contracts.commands import command_of, key_for
from tests.rating.api.billing_api import BillingApi, open_billing_api
from tests.rating.api.ledger_runs import LedgerRuns


@pytest.fixture
async def billing_api(migrated_url: str, anyio_backend: str) -> AsyncIterator[BillingApi]:
    async with open_billing_api(migrated_url) as billing_api:
        yield billing_api


@pytest.fixture
async def other_account(billing_api: BillingApi) -> AsyncIterator[BillingApi]:
    """The same company's test account: it has data of its own, and sees none of the live account's."""
    account = await billing_api.ledger.accounts.account_for(billing_api.key.account, Mode.TEST)
    key, token = await billing_api.ledger.api_keys.create(command_of(account), key_for(account, "stranger", *Scope))
    other = BillingApi(billing_api.ledger, billing_api.clock, key, token)
    yield other
    await other.client.aclose()


@pytest.fixture
def runs(billing_api: BillingApi, migrated_url: str) -> Iterator[LedgerRuns]:
    engine = create_engine(migrated_url)
    yield LedgerRuns(engine, billing_api)
    engine.dispose()
