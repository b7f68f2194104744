"""One account with customers, plans and subscriptions, and the invoice run over them."""

from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any

from ingest_gateway.ports import MeterDefinition
from rating.ledger.ledger import Ledger
from rating.runs.run import InvoiceRun, RunParameters
from schemas.billing_settings import SettingsChanges
from schemas.command import Command
from schemas.customer import NewCustomer
from schemas.ids import AccountId
from schemas.invoice import Invoice, InvoiceQuery
from schemas.invoice_run import RunSummary
from schemas.moments import Moment
from schemas.plan import FixedFee, Interval, Timing, UsagePrice
from schemas.plan_catalog import NewPlan
from schemas.price import Graduated, PerUnit, Tier
from schemas.subscription import NewSubscription, Subscription
from schemas.timestamps import DAY, to_micros
from tests.contracts.api_keys import ManualClock
from tests.contracts.commands import command_of
from tests.rating.runs.counted_usage import CountedUsage, UsageEvent

GROUPS = ("model",)
WINDOW = 35 * DAY
TIERS = (Tier(up_to=Decimal(100), unit_price=Decimal("0.02")), Tier(unit_price=Decimal("0.01")))
PRO = NewPlan(
    code="pro",
    name="Pro",
    currency="USD",
    interval=Interval.MONTH,
    fixed_fees=(
        FixedFee(code="seat", name="Seat", amount_cents=3100, timing=Timing.ADVANCE),
        FixedFee(code="support", name="Support", amount_cents=620, timing=Timing.ARREARS),
    ),
    usage_prices=(
        UsagePrice(code="tokens", name="Tokens", meter="tokens", price=PerUnit(unit_price=Decimal("0.0015"))),
        UsagePrice(
            code="by_model",
            name="Tokens by model",
            meter="tokens",
            price=Graduated(
                tiers=(Tier(up_to=Decimal(100), unit_price=Decimal("0.02")), Tier(unit_price=Decimal("0.01")))
            ),
            group_by=GROUPS,
        ),
    ),
)


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    return to_micros(datetime(year, month, day, hour, minute, tzinfo=UTC))


class BilledAccount:
    """An account in a real ledger, with what a run needs."""

    def __init__(self, ledger: Ledger, clock: ManualClock) -> None:
        self.ledger = ledger
        self.clock = clock
        self.usage = CountedUsage("tokens", group_by=GROUPS)
        self._runs = count(1)
        self._account: AccountId | None = None

    async def account(self) -> AccountId:
        """The account, created at the first call."""
        if self._account is None:
            made = await self.ledger.accounts.bootstrap(None)
            assert made is not None
            self._account = made[0].account
            await self.ledger.meters.create(command_of(self._account), _tokens())
        return self._account

    async def command(self) -> Command:
        return Command(account=await self.account(), actor="test", request_id="req_test")

    async def publish_plan(self, plan: NewPlan = PRO) -> None:
        await self.ledger.plans.create(await self.command(), plan)

    async def subscribe(self, *, start: int | None = None, code: str = "pro", **customer: Any) -> Subscription:
        """A subscription of a new customer, active from `start` (by default now)."""
        command = await self.command()
        buyer = (await self.ledger.customers.create(command, NewCustomer(**{"name": "Acme"} | customer))).answer
        new = NewSubscription(
            customer_id=buyer.id,
            plan_code=code,
            start_date=None if start is None else Moment(start),
            initial_status="active",
        )
        return (await self.ledger.subscriptions.create(command, new)).answer

    def record_usage(self, subscription: Subscription, when: int, value: int | str, model: str | None = None) -> None:
        used = UsageEvent(customer=subscription.customer_id, at=when, value=Decimal(value), group={"model": model})
        self.usage.events.append(used)

    async def set_billing_settings(self, **settings: Any) -> None:
        await self.ledger.billing_settings.update(await self.command(), SettingsChanges(**settings))

    async def run(self, as_of: int, *, is_dry: bool = False) -> RunSummary:
        """Runs with the clock at `as_of`."""
        self.clock.now = max(self.clock.now, as_of)
        parameters = RunParameters(as_of=as_of, run_id=f"run_{next(self._runs)}", is_dry=is_dry)
        run = InvoiceRun(self.ledger.billing, self.usage, self.ledger.meters, late_window=WINDOW)
        return await run.run(parameters)

    async def invoices(self, subscription: Subscription | None = None) -> list[Invoice]:
        """Oldest period first; of a period, the opening before the end, which has more lines."""
        of_subscription = None if subscription is None else subscription.id
        query = InvoiceQuery(account=await self.account(), subscription_id=of_subscription, limit=1000)
        found: list[Invoice] = list((await self.ledger.invoices.list(query)).items)
        return sorted(found, key=lambda invoice: (invoice.period_start or 0, len(invoice.lines)))


def _tokens() -> MeterDefinition:
    return MeterDefinition(
        code="tokens",
        name="Tokens",
        event_name="tokens",
        aggregation="sum",
        value_property="$.value",
        group_by={"model": "$.model"},
        filters=(),
        unit=None,
    )
