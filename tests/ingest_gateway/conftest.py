"""A whole app on in-memory parts, with two companies, each with a live and a test account."""

from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import httpx
import pytest

from ingest_gateway.api.app import Policy, Ports, Surroundings, create_app
from ingest_gateway.http.memory_budget import Budget
from rating.ledger.memory import MemoryAccounts, MemoryApiKeys, MemoryBooks, MemoryMeters, MemoryRetries
from schemas.account import Mode, Scope
from schemas.ids import AccountId
from schemas.metrics import NoMetrics
from tests.contracts.api_keys import Clock
from tests.contracts.commands import by, key_for
from tests.ingest_gateway.fakes import FakeIntake, FakeReader, FakeSink

ALL_SCOPES = frozenset(Scope)


class World:
    """The app and everything behind it."""

    def __init__(self) -> None:
        numbers = count()
        self.clock = Clock()
        self.seconds = 0.0
        self.books = MemoryBooks(self.clock, lambda: f"c{next(numbers):024}", lambda: f"{next(numbers):032}")
        self.accounts = MemoryAccounts(self.books)
        self.api_keys = MemoryApiKeys(self.books)
        self.meters = MemoryMeters(self.books)
        self.retries = MemoryRetries(self.books)
        self.reader = FakeReader()
        self.intake = FakeIntake()
        self.sink = FakeSink()
        self.ours = self.books.add_company()
        self.theirs = self.books.add_company()
        self.client = self.serve()

    def serve(
        self, *, ports: dict[str, Any] | None = None, policy: Policy | None = None, **around: Any
    ) -> httpx.AsyncClient:
        """A client of the app, with some parts replaced."""
        given: dict[str, Any] = {
            "api_keys": self.api_keys,
            "accounts": self.accounts,
            "meters": self.meters,
            "intake": self.intake,
            "sink": self.sink,
            "usage": self.reader,
            "events": self.reader,
            "status": self.reader,
            "retries": self.retries,
            "budget": Budget(10**8, NoMetrics()),
        }
        surroundings = Surroundings(
            clock=self.clock, arrival=self.clock, timer=lambda: self.seconds, below=lambda _: 0, **around
        )
        app = create_app(Ports(**given | (ports or {})), policy or Policy(partitions=2), surroundings)
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tallyhouse")

    async def key(self, account: AccountId | None = None, *scopes: Scope) -> dict[str, str]:
        """The headers of a new key: of our live account and with all scopes, unless said otherwise."""
        owner = account or self.ours[Mode.LIVE]
        _, token = await self.api_keys.create(by(owner), key_for(owner, "test", *(scopes or ALL_SCOPES)))
        return {"authorization": f"Bearer {token}"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def world(anyio_backend: str) -> AsyncIterator[World]:
    made = World()
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
async def auth(world: World) -> dict[str, str]:
    return await world.key()
