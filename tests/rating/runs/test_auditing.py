"""An audit counts every usage line anew from the events, at the line's own watermark, and tells any difference."""

from decimal import Decimal

import pytest

from rating.runs.auditing import audit
from tests.rating.runs.billed_account import Books, at
from tests.rating.runs.counted_usage import Used

pytestmark = pytest.mark.anyio

START, FIRST = at(2027, 1, 15, 10, 30), at(2027, 2, 1)


async def test_a_right_invoice_differs_by_nothing(books: Books) -> None:
    """Whatever has arrived since it was made: that is beyond its watermark."""
    await books.offer()
    one = await books.subscribe(start=START)
    books.use(one, START, "1000.5", "small")
    books.use(one, START + 1, 20)
    await books.run(FIRST)
    books.use(one, START + 2, 7, "late")
    first = (await books.invoices(one))[-1]
    told = await audit(first, books.usage, books.usage)
    assert told.is_right
    assert [(line.reference, line.counted_quantity, line.difference) for line in told.lines] == [
        ("usage:tokens", Decimal("1020.5"), Decimal(0)),
        ('usage:by_model:["small"]', Decimal("1000.5"), Decimal(0)),
        ("usage:by_model:[null]", Decimal(20), Decimal(0)),
    ]


async def test_a_lost_event_is_found(books: Books) -> None:
    """With what the line should have been."""
    await books.offer()
    one = await books.subscribe(start=START)
    books.use(one, START, 1000, "small")
    books.use(one, START + 1, 500, "small")
    await books.run(FIRST)
    books.usage.events[1] = Used(customer="somebody else", at=START, value=Decimal(0))
    told = await audit((await books.invoices(one))[-1], books.usage, books.usage)
    assert not told.is_right
    assert [(line.difference, line.billed_amount, line.counted_amount) for line in told.lines] == [
        (Decimal(-500), 225, 150),
        (Decimal(-500), 1600, 1100),
    ]


async def test_what_a_meter_took_away_was_nothing_to_bill(books: Books) -> None:
    """Below zero nothing is billed, and the audit agrees."""
    await books.offer()
    one = await books.subscribe(start=START)
    books.use(one, START, 5, "small")
    books.use(one, START, -8, "small")
    await books.run(FIRST)
    told = await audit((await books.invoices(one))[-1], books.usage, books.usage)
    assert told.lines == ()
    assert told.is_right
