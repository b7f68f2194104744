"""What nobody asks to be billed is billed by the clock, a while after it was due."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from rating.runs.run_service import InvoiceRunService
from schemas.errors import StoreFailed
from schemas.invoice_run import RunSummary
from schemas.logger import NullLogger
from schemas.timestamps import DAY, MILLISECOND, MINUTE
from tallyhouse.billing_schedule import _bill_on_schedule
from tallyhouse.runtime.context import Runtime
from tallyhouse.runtime.environment import read_settings
from tallyhouse.runtime.prometheus import PrometheusMetrics
from tests.rating.api.billing_api import BillingApi, open_billing_api, run_service_of
from tests.rating.api.daily_billing import subscribe_daily

pytestmark = pytest.mark.anyio

GRACE = 60 * MINUTE


@pytest.fixture
async def billing_api(sqlite_url: str, anyio_backend: str) -> AsyncIterator[BillingApi]:
    async with open_billing_api(sqlite_url) as billing_api:
        yield billing_api


class Watched:
    """A desk whose runs by the clock are counted; the first of them fails."""

    def __init__(self, run_service: InvoiceRunService) -> None:
        self._desk = run_service
        self.asked = 0

    async def run_all(self, as_of: int) -> RunSummary:
        self.asked += 1
        if self.asked == 1:
            raise StoreFailed("away for a moment")
        return await self._desk.run_all(as_of)


@asynccontextmanager
async def billing_by_the_clock(billing_api: BillingApi) -> AsyncIterator[Watched]:
    settings = replace(read_settings({}), billing_every=MILLISECOND, billing_grace=GRACE)
    runtime = Runtime(clock=billing_api.clock, logger=NullLogger(), metrics=PrometheusMetrics())
    watched = Watched(run_service_of(billing_api.ledger, billing_api.clock, billing_api.usage))
    schedule = asyncio.create_task(_bill_on_schedule(watched, settings, runtime))  # type: ignore[arg-type]
    try:
        yield watched
    finally:
        schedule.cancel()
        await asyncio.wait([schedule])


async def _after_two_more(watched: Watched) -> None:
    """The second of them began, and so the first ended, after now."""
    wanted = watched.asked + 2
    async with asyncio.timeout(30):
        while watched.asked < wanted:  # noqa: ASYNC110 - they are watched from outside
            await asyncio.sleep(0.001)


async def _count(billing_api: BillingApi) -> int:
    return len((await billing_api.get("/v1/invoices"))["invoices"])


async def test_periods_are_billed_once_when_the_grace_is_over(billing_api: BillingApi) -> None:
    """Not a microsecond before; and a run that failed is tried again."""
    await subscribe_daily(billing_api)
    begins = billing_api.clock.now
    midnight = begins - begins % DAY + DAY
    async with billing_by_the_clock(billing_api) as watched:
        for now, invoices in (
            (begins + GRACE - 1, 0),
            (begins + GRACE, 1),
            (midnight + GRACE - 1, 1),
            (midnight + GRACE, 2),
        ):
            billing_api.clock.now = now
            await _after_two_more(watched)
            assert await _count(billing_api) == invoices
