"""An audit recounts every usage line from the events, at the line's own watermark, and reports any difference."""

from decimal import Decimal

import pytest

from rating.runs.auditing import audit
from tests.rating.runs.billed_account import BilledAccount, at
from tests.rating.runs.counted_usage import UsageEvent

pytestmark = pytest.mark.anyio

START, FIRST = at(2027, 1, 15, 10, 30), at(2027, 2, 1)


async def test_a_correct_invoice_has_no_difference(billed_account: BilledAccount) -> None:
    """Events that have arrived since are beyond the lines' watermark."""
    await billed_account.publish_plan()
    one = await billed_account.subscribe(start=START)
    billed_account.record_usage(one, START, "1000.5", "small")
    billed_account.record_usage(one, START + 1, 20)
    await billed_account.run(FIRST)
    billed_account.record_usage(one, START + 2, 7, "late")
    first = (await billed_account.invoices(one))[-1]
    report = await audit(first, billed_account.usage, billed_account.usage)
    assert report.is_right
    assert [(line.reference, line.counted_quantity, line.difference) for line in report.lines] == [
        ("usage:tokens", Decimal("1020.5"), Decimal(0)),
        ('usage:by_model:["small"]', Decimal("1000.5"), Decimal(0)),
        ("usage:by_model:[null]", Decimal(20), Decimal(0)),
    ]


async def test_a_lost_event_is_found(billed_account: BilledAccount) -> None:
    """The report has what the line should have been."""
    await billed_account.publish_plan()
    one = await billed_account.subscribe(start=START)
    billed_account.record_usage(one, START, 1000, "small")
    billed_account.record_usage(one, START + 1, 500, "small")
    await billed_account.run(FIRST)
    billed_account.usage.events[1] = UsageEvent(customer="another customer", at=START, value=Decimal(0))
    report = await audit((await billed_account.invoices(one))[-1], billed_account.usage, billed_account.usage)
    assert not report.is_right
    assert [(line.difference, line.billed_amount, line.counted_amount) for line in report.lines] == [
        (Decimal(-500), 225, 150),
        (Decimal(-500), 1600, 1100),
    ]


async def test_a_quantity_below_zero_is_not_billed(billed_account: BilledAccount) -> None:
    """The audit agrees that nothing is owed."""
    await billed_account.publish_plan()
    one = await billed_account.subscribe(start=START)
    billed_account.record_usage(one, START, 5, "small")
    billed_account.record_usage(one, START, -8, "small")
    await billed_account.run(FIRST)
    report = await audit((await billed_account.invoices(one))[-1], billed_account.usage, billed_account.usage)
    assert report.lines == ()
    assert report.is_right
