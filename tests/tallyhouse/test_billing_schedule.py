"""The schedule bills every period, a grace after its end."""

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
from tallyhouse.runtime.environment import read_settings
from tallyhouse.runtime.prometheus import PrometheusMetrics
from tallyhouse.runtime.startup import Runtime
from tests.rating.api.billing_api import BillingApi, open_billing_api, run_service_of
from tests.rating.api.daily_billing import subscribe_daily

pytestmark = pytest.mark.anyio

GRACE = 60 * MINUTE


@pytest.fixture
async def billing_api(sqlite_url: str, anyio_backend: str) -> AsyncIterator[BillingApi]:
    async with open_billing_api(sqlite_url) as billing_api:
        yield billing_api


class CountedRuns:
    """An invoice run service that counts its scheduled runs. The first run fails."""

    def __init__(self, run_service: InvoiceRunService) -> None:
        self._run_service = run_service
        self.started = 0

    async def run_all(self, as_of: int) -> RunSummary:
        self.started += 1
        if self.started == 1:
            raise StoreFailed("no answer")
        return await self._run_service.run_all(as_of)


@asynccontextmanager
async def scheduled_billing(billing_api: BillingApi) -> AsyncIterator[CountedRuns]:
    settings = replace(read_settings({}), billing_every=MILLISECOND, billing_grace=GRACE)
    runtime = Runtime(clock=billing_api.clock, logger=NullLogger(), metrics=PrometheusMetrics())
    runs = CountedRuns(run_service_of(billing_api.ledger, billing_api.clock, billing_api.usage))
    schedule = asyncio.create_task(_bill_on_schedule(runs, settings, runtime))  # type: ignore[arg-type]
    try:
        yield runs
    finally:
        schedule.cancel()
        await asyncio.wait([schedule])


async def _after_two_more(runs: CountedRuns) -> None:
    """Waits for two more runs to start: the first of them has then ended."""
    expected = runs.started + 2
    async with asyncio.timeout(30):
        while runs.started < expected:  # noqa: ASYNC110 - the schedule has no event to wait for
            await asyncio.sleep(0.001)


async def _count(billing_api: BillingApi) -> int:
    return len((await billing_api.get("/v1/invoices"))["invoices"])


async def test_periods_are_billed_once_when_the_grace_is_over(billing_api: BillingApi) -> None:
    """No period is billed a microsecond earlier, and a failed run is retried."""
    await subscribe_daily(billing_api)
    begins = billing_api.clock.now
    midnight = begins - begins % DAY + DAY
    async with scheduled_billing(billing_api) as runs:
        for now, invoices in (
            (begins + GRACE - 1, 0),
            (begins + GRACE, 1),
            (midnight + GRACE - 1, 1),
            (midnight + GRACE, 2),
        ):
            billing_api.clock.now = now
            await _after_two_more(runs)
            assert await _count(billing_api) == invoices
