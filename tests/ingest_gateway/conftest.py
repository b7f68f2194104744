"""A whole app on in-memory parts, with two companies, each with a live and a test account."""

from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import httpx
import pytest

from ingest_gateway.api.app import create_app
from ingest_gateway.api.app_ports import AppContext, AppPolicy, AppPorts
from ingest_gateway.http.memory_budget import MemoryBudget
from rating.ledger.memory import MemoryAccounts, MemoryApiKeys, MemoryMeters, MemoryRejectReplays, MemoryState
from schemas.account import Mode, Scope
from schemas.ids import AccountId
from schemas.metrics import NullMetrics
from tests.contracts.api_keys import ManualClock
from tests.contracts.commands import command_of, key_for
from tests.ingest_gateway.fakes import FakeIntake, FakeReader, FakeSink

ALL_SCOPES = frozenset(Scope)


class InMemoryApp:
    """The app and the parts behind it."""

    def __init__(self) -> None:
        numbers = count()
        self.clock = ManualClock()
        self.seconds = 0.0
        self.books = MemoryState(self.clock, lambda: f"c{next(numbers):024}", lambda: f"{next(numbers):032}")
        self.accounts = MemoryAccounts(self.books)
        self.api_keys = MemoryApiKeys(self.books)
        self.meters = MemoryMeters(self.books)
        self.replay_results = MemoryRejectReplays(self.books)
        self.reader = FakeReader()
        self.intake = FakeIntake()
        self.sink = FakeSink()
        self.ours = self.books.add_company()
        self.theirs = self.books.add_company()
        self.client = self.serve()

    def serve(
        self, *, ports: dict[str, Any] | None = None, policy: AppPolicy | None = None, **runtime: Any
    ) -> httpx.AsyncClient:
        """A client of the app, with some parts replaced."""
        given: dict[str, Any] = {
            "api_keys": self.api_keys,
            "accounts": self.accounts,
            "meters": self.meters,
            "fan_outs": self.meters,
            "intake": self.intake,
            "sink": self.sink,
            "usage": self.reader,
            "verification": self.reader,
            "events": self.reader,
            "status": self.reader,
            "replay_results": self.replay_results,
            "budget": MemoryBudget(10**8, NullMetrics()),
        }
        surroundings = AppContext(
            clock=self.clock, arrival=self.clock, timer=lambda: self.seconds, below=lambda _: 0, **runtime
        )
        app = create_app(AppPorts(**given | (ports or {})), policy or AppPolicy(partitions=2), surroundings)
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tallyhouse")

    async def key(self, account: AccountId | None = None, *scopes: Scope) -> dict[str, str]:
        """The headers of a new key: of our live account and with all scopes, unless stated otherwise."""
        owner = account or self.ours[Mode.LIVE]
        _, token = await self.api_keys.create(command_of(owner), key_for(owner, "test", *(scopes or ALL_SCOPES)))
        return {"authorization": f"Bearer {token}"}


@pytest.fixture
async def in_memory_app(anyio_backend: str) -> AsyncIterator[InMemoryApp]:
    made = InMemoryApp()
    yield made
    await made.client.aclose()


TOKENS = {
    "code": "tokens",
    "name": "Tokens",
    "event_name": "api.request",
    "aggregation": "sum",
    "value_property": "$.tokens",
    "group_by": {"model": "$.model"},
    "filters": [{"property": "$.region", "op": "eq", "value": "eu"}],
    "unit": "token",
}


@pytest.fixture
async def auth(in_memory_app: InMemoryApp) -> dict[str, str]:
    return await in_memory_app.key()
