"""Runs killed with -9 while usage of all periods arrives: in the end each event is billed once."""

import asyncio
import subprocess
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from random import Random

import msgspec
import pytest
import sqlalchemy as sa

from rating.core.pricing import Group, charge
from rating.ledger.invoice_tables import invoice_lines, invoices
from rating.ledger.rated_periods import get_open_periods
from schemas.subscription import Subscription
from tests.rating.core.records import amount_of
from tests.rating.runs.billed_account import PRO, BilledAccount, at
from tests.rating.runs.counted_usage import UsageEvent
from tests.rating.runs.kill_runs import command, connect, count_billed, kill_two_runs

pytestmark = pytest.mark.anyio

START, UNTIL, LAST = at(2027, 1, 15, 10, 30), at(2027, 5, 1), at(2027, 6, 1)
PERIODS = 5
"""The boundaries of one subscription up to `UNTIL`, its opening included."""

Costs = dict[tuple[str, int, str], int]
"""Customer, start of the period, price code → minor units."""


@pytest.mark.long
@pytest.mark.parametrize("subscriptions", [60, 200])
async def test_late_usage_is_billed_once_whenever_runs_are_killed(
    billed_account: BilledAccount, migrated_url: str, tmp_path: Path, subscriptions: int
) -> None:
    """Two runs at a time, killed at random moments, each pair with more usage; a last run sees all of it."""
    await billed_account.publish_plan()
    many = [await billed_account.subscribe(start=START) for _ in range(subscriptions)]
    events = _events(many)
    path = tmp_path / "events.json"
    await asyncio.to_thread(_kill_and_start_again, migrated_url, events, path, subscriptions * PERIODS)
    path.write_bytes(msgspec.json.encode(events))
    await asyncio.to_thread(subprocess.run, command(migrated_url, LAST, str(path)), check=True, capture_output=True)
    with connect(migrated_url) as connection:
        assert _billed(connection) == _owed(connection, many, events)


def _events(many: list[Subscription]) -> list[UsageEvent]:
    """Events of all periods, in random order."""
    chance = Random(7)
    return [
        UsageEvent(
            customer=chance.choice(many).customer_id,
            at=chance.randrange(START, UNTIL),
            value=Decimal(chance.randrange(-20, 400)) / 4,
            group={"model": chance.choice(("small", "large", None))},
        )
        for _ in range(20 * len(many))
    ]


def _kill_and_start_again(url: str, events: list[UsageEvent], path: Path, boundaries: int) -> None:
    kills = arrived = 0
    while kills < 24 and count_billed(url) < boundaries:
        arrived = min(len(events), arrived + 100)
        path.write_bytes(msgspec.json.encode(events[:arrived]))
        kills += kill_two_runs(command(url, UNTIL, str(path)), url, longest=0.4 if kills else 0.1)
    assert kills > 0


def _billed(connection: sa.Connection) -> Costs:
    """The costs by all usage lines, late or not."""
    lines = sa.select(invoice_lines, invoices.c.customer_id).join(invoices, invoices.c.id == invoice_lines.c.invoice_id)
    costs, late = Counter[tuple[str, int, str]](), 0
    for row in connection.execute(lines):
        kind, _, price = row.reference.partition(":")
        late += "@" in price
        if kind == "usage":
            code = price.partition(":")[0].partition("@")[0]
            costs[row.customer_id, row.period_start, code] += row.amount
    assert late > 0
    return {key: cents for key, cents in costs.items() if cents}


def _owed(connection: sa.Connection, many: list[Subscription], events: list[UsageEvent]) -> Costs:
    """The costs by a plain loop over all events, each period rated once."""
    periods = get_open_periods(connection, [one.id for one in many])
    costs: Costs = {}
    for one in many:
        own = [event for event in events if event.customer == one.customer_id]
        for period in periods[one.id]:
            sums = defaultdict[Group, Decimal](Decimal)
            for event in own:
                if period.service.start <= event.at < period.service.end:
                    sums[tuple(event.group[key] for key in period.price.group_by)] += event.value
            cents = amount_of(charge(period.price, sums, PRO.currency, period.service.portion))
            costs[one.customer_id, period.service.start, period.price.code] = cents
    return {key: cents for key, cents in costs.items() if cents}
