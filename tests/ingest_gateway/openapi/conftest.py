"""The whole app over a ledger on SQLite, and its own OpenAPI document."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.rating.api.billing_api import BillingApi, open_billing_api

Document = dict[str, Any]


@pytest.fixture
async def billing_api(sqlite_url: str, anyio_backend: str) -> AsyncIterator[BillingApi]:
    async with open_billing_api(sqlite_url) as billing_api:
        yield billing_api


@pytest.fixture
async def document(billing_api: BillingApi) -> Document:
    reply = await billing_api.client.get("/openapi.json", headers={"authorization": ""})
    assert reply.headers["content-type"] == "application/json"
    described: Document = reply.json()
    return described
