"""Runs killed with -9 anywhere: started again, they have billed every period once in the end."""

import asyncio
import subprocess
from collections import Counter

import pytest
import sqlalchemy as sa

from rating.ledger.invoice_tables import billed_periods, invoice_lines, invoices
from tests.rating.runs.billed_account import BilledAccount, at
from tests.rating.runs.kill_runs import command, connect, count_billed, kill_two_runs

pytestmark = pytest.mark.anyio

START, UNTIL = at(2027, 1, 15, 10, 30), at(2027, 6, 1)
PERIODS = 6
"""The boundaries of one subscription, its opening included."""


@pytest.mark.parametrize("subscriptions", [100, pytest.param(300, marks=pytest.mark.long)])
async def test_every_period_is_billed_once_whenever_runs_are_killed(
    billed_account: BilledAccount, migrated_url: str, subscriptions: int
) -> None:
    """Two runs at a time, killed at random moments, until nothing is due; the numbers have no gap."""
    await billed_account.publish_plan()
    await billed_account.set_billing_settings(auto_finalize=True)
    for _ in range(subscriptions):
        await billed_account.subscribe(start=START)
    await asyncio.to_thread(_kill_and_start_again, migrated_url, subscriptions * PERIODS)
    _check(migrated_url, subscriptions)


def _kill_and_start_again(url: str, boundaries: int) -> None:
    kills = 0
    while kills < 60 and count_billed(url) < boundaries:
        # The first pair is killed early: an idle machine finishes sooner than the longest wait.
        kills += kill_two_runs(command(url, UNTIL), url, longest=1 if kills else 0.1)
    assert kills > 0
    subprocess.run(command(url, UNTIL), check=True, capture_output=True)


def _check(url: str, subscriptions: int) -> None:
    with connect(url) as connection:
        boundaries = connection.execute(sa.select(billed_periods.c.subscription_id, billed_periods.c.invoice_id)).all()
        made = connection.execute(sa.select(invoices.c.id, invoices.c.number, invoices.c.subtotal)).all()
        lines = connection.execute(sa.select(invoice_lines.c.invoice_id, invoice_lines.c.amount)).all()
    assert Counter(row.subscription_id for row in boundaries) == dict.fromkeys(
        {row.subscription_id for row in boundaries}, PERIODS
    )
    assert sorted(row.invoice_id for row in boundaries) == sorted(row.id for row in made)
    assert sorted(row.number for row in made) == [f"INV-{n:04}" for n in range(1, subscriptions * PERIODS + 1)]
    sums: Counter[str] = Counter()
    for row in lines:
        sums[row.invoice_id] += row.amount
    assert {row.id: row.subtotal for row in made} == sums
