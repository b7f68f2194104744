"""The billing API over a real ledger, and a client that speaks for its administrator."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from ingest_gateway.api.app import create_app
from ingest_gateway.api.app_ports import AppContext, AppPolicy, AppPorts
from ingest_gateway.http.memory_budget import MemoryBudget
from rating.api.endpoints import billing_endpoints, billing_pages
from rating.ledger.ledger import Ledger, open_ledger, skip_migration
from rating.runs.run_service import InvoiceRunService
from schemas.account import ApiKey
from schemas.ids import new_cuid
from schemas.metrics import NullMetrics
from schemas.timestamps import DAY
from tallyhouse.service import billing_ports
from tests.contracts.api_keys import ManualClock
from tests.ingest_gateway.fakes import FakeIntake, FakeReader, FakeSink
from tests.rating.runs.counted_usage import CountedUsage


class BillingApi:
    """The app over one ledger, called with an administrator's key."""

    def __init__(self, ledger: Ledger, clock: ManualClock, key: ApiKey, token: str) -> None:
        self.ledger = ledger
        self.clock = clock
        self.key = key
        self.reader = FakeReader()
        self.usage = CountedUsage()
        """The usage that runs and audits read."""
        self.app = _app(ledger, clock, self.reader, self.usage)
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://tallyhouse",
            headers={"authorization": f"Bearer {token}"},
        )

    async def post(
        self, path: str, body: Any = None, *, status: int = 201, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """The response envelope; `idempotency_key` goes into the header Idempotency-Key."""
        headers = {} if idempotency_key is None else {"idempotency-key": idempotency_key}
        return _checked(await self.client.post(path, json=body, headers=headers), status)

    async def get(self, path: str, /, *, status: int = 200, **params: Any) -> dict[str, Any]:
        return _checked(await self.client.get(path, params=params or None), status)

    async def patch(self, path: str, body: Any, *, status: int = 200) -> dict[str, Any]:
        return _checked(await self.client.patch(path, json=body), status)

    async def delete(self, path: str, *, status: int = 200) -> dict[str, Any]:
        return _checked(await self.client.delete(path), status)

    async def put(self, path: str, body: Any, *, status: int = 200) -> dict[str, Any]:
        return _checked(await self.client.put(path, json=body), status)

    async def plan(self, code: str = "pro", **fields: Any) -> dict[str, Any]:
        """Creates a plan: 20.00 a month in advance."""
        fee = {"code": "platform", "name": "Platform", "amount_cents": 2000}
        body = {"code": code, "name": "Pro", "currency": "USD", "interval": "month", "fixed_fees": [fee]}
        made: dict[str, Any] = (await self.post("/v1/plans", body | fields))["plan"]
        return made

    async def meter(self, code: str = "calls", **fields: Any) -> dict[str, Any]:
        """Creates a meter that counts events by region."""
        body = {"code": code, "name": "Calls", "event_name": "call", "aggregation": "count"}
        made = await self.post("/v1/meters", body | {"group_by": {"region": "$.region"}} | fields)
        meter: dict[str, Any] = made["meter"]
        return meter

    async def subscription(self, **fields: Any) -> dict[str, Any]:
        """Creates an active subscription to plan `pro`, of a new customer unless one is named."""
        if "customer_id" not in fields:
            fields["customer_id"] = (await self.customer())["id"]
        body = {"plan_code": "pro", "initial_status": "active"} | fields
        made: dict[str, Any] = (await self.post("/v1/subscriptions", body))["subscription"]
        return made

    async def customer(self, **fields: Any) -> dict[str, Any]:
        made: dict[str, Any] = (await self.post("/v1/customers", {"name": "Acme Corp"} | fields))["customer"]
        return made


@asynccontextmanager
async def open_billing_api(url: str) -> AsyncIterator[BillingApi]:
    """The app over the migrated, empty ledger at `url`, with a company of its own."""
    clock = ManualClock()
    with open_ledger(url, clock, prepare=skip_migration) as ledger:
        made = await ledger.accounts.bootstrap(None)
        assert made is not None
        billing_api = BillingApi(ledger, clock, *made)
        yield billing_api
        await billing_api.client.aclose()


def _checked(reply: httpx.Response, status: int) -> dict[str, Any]:
    assert reply.status_code == status, reply.text
    envelope: dict[str, Any] = reply.json()
    assert envelope["success"] == (status < 400)
    return envelope


def run_service_of(ledger: Ledger, clock: ManualClock, usage: CountedUsage) -> InvoiceRunService:
    return InvoiceRunService(
        ledger.billing,
        ledger.invoice_runs,
        ledger.invoices,
        usage=usage,
        recount=usage,
        meters=ledger.meters,
        clock=clock,
        new_id=lambda: new_cuid(clock() // 1000),
        late_window=35 * DAY,
    )


def _app(ledger: Ledger, clock: ManualClock, reader: FakeReader, usage: CountedUsage) -> Any:
    billing = billing_ports(ledger, run_service_of(ledger, clock, usage), clock, "https://bill.example/")
    ports = AppPorts(
        api_keys=ledger.api_keys,
        accounts=ledger.accounts,
        meters=ledger.meters,
        fan_outs=ledger.meters,
        intake=FakeIntake(),
        sink=FakeSink(),
        usage=reader,
        verification=reader,
        events=reader,
        status=reader,
        replay_results=ledger.reject_replays,
        budget=MemoryBudget(10**8, NullMetrics()),
        billing_routes=billing_endpoints(billing),
        public_pages=billing_pages(billing),
    )
    policy = AppPolicy(partitions=2, api_per_minute=0)
    return create_app(ports, policy, AppContext(clock=clock, arrival=clock, timer=lambda: 0.0))
