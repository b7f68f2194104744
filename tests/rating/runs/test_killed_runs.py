"""Runs that are killed with -9, anywhere: what is started again in the end has billed every period, each once."""

import asyncio
import subprocess
import sys
import time
from collections import Counter
from random import SystemRandom

import pytest
import sqlalchemy as sa

from rating.ledger.engine import create_engine
from rating.ledger.invoice_tables import billed_periods, invoice_lines, invoices
from tests.rating.runs.books import Books, at

pytestmark = pytest.mark.anyio

START, UNTIL = at(2027, 1, 15, 10, 30), at(2027, 6, 1)
SUBSCRIPTIONS, PERIODS = 300, 6
"""Openings included."""


async def test_every_period_is_billed_once_whenever_runs_are_killed(books: Books, migrated_url: str) -> None:
    """Two at a time, killed at random moments, until one finds nothing left; the numbers have no gap."""
    await books.offer()
    await books.decide(auto_finalize=True)
    for _ in range(SUBSCRIPTIONS):
        await books.subscribe(start=START)
    await asyncio.to_thread(_kill_and_begin_again, migrated_url)
    _check(migrated_url)


def _kill_and_begin_again(url: str) -> None:
    chance, kills = SystemRandom(), 0
    command = [sys.executable, "-m", "tests.rating.runs.killed_run", url, str(UNTIL)]
    while kills < 60 and _count(url) < SUBSCRIPTIONS * PERIODS:
        pair = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        for one in pair:
            assert one.stdout is not None
            assert one.stdout.readline() == "running\n"
        time.sleep(chance.uniform(0.2, 1.5))  # Not for luck: this is when they die.
        for one in pair:
            kills += one.poll() is None
            one.kill()
            one.communicate()
    assert kills > 0
    subprocess.run(command, check=True, capture_output=True)


def _count(url: str) -> int:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = connection.execute(sa.select(sa.func.count()).select_from(billed_periods)).scalar_one()
    engine.dispose()
    return int(found)


def _check(url: str) -> None:
    engine = create_engine(url)
    with engine.connect() as connection:
        boundaries = connection.execute(sa.select(billed_periods.c.subscription_id, billed_periods.c.invoice_id)).all()
        made = connection.execute(sa.select(invoices.c.id, invoices.c.number, invoices.c.subtotal)).all()
        lines = connection.execute(sa.select(invoice_lines.c.invoice_id, invoice_lines.c.amount)).all()
    engine.dispose()
    assert Counter(row.subscription_id for row in boundaries) == dict.fromkeys(
        {row.subscription_id for row in boundaries}, PERIODS
    )
    assert sorted(row.invoice_id for row in boundaries) == sorted(row.id for row in made)
    assert sorted(row.number for row in made) == [f"INV-{n:04}" for n in range(1, SUBSCRIPTIONS * PERIODS + 1)]
    sums: Counter[str] = Counter()
    for row in lines:
        sums[row.invoice_id] += row.amount
    assert {row.id: row.subtotal for row in made} == sums
