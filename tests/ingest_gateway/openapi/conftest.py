"""The whole app over a ledger on SQLite, and its own OpenAPI document."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rating.ledger.ledger import open_ledger
from rating.ledger.migrate import migrate
from tests.contracts.api_keys import ManualClock
from tests.rating.api.billing_api import BillingApi

Document = dict[str, Any]


@pytest.fixture
async def billing_api(tmp_path: Path, anyio_backend: str) -> AsyncIterator[BillingApi]:
    clock = ManualClock()
    with open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", clock, prepare=migrate) as ledger:
        made = await ledger.accounts.bootstrap(None)
        assert made is not None
        own = BillingApi(ledger, clock, *made)
        yield own
        await own.client.aclose()


@pytest.fixture
async def document(billing_api: BillingApi) -> Document:
    reply = await billing_api.client.get("/openapi.json", headers={"authorization": ""})
    assert reply.headers["content-type"] == "application/json"
    described: Document = reply.json()
    return described
