"""Starts runs in separate processes, two at a time, and kills them with -9 at random moments."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import SystemRandom

import sqlalchemy as sa

from rating.ledger.engine import create_engine
from rating.ledger.invoice_tables import billed_periods

_CHANCE = SystemRandom()


def command(url: str, as_of: int, *paths: str) -> list[str]:
    return [sys.executable, "-m", "tests.rating.runs.killed_run", url, str(as_of), *paths]


@contextmanager
def connect(url: str) -> Iterator[sa.Connection]:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def count_billed(url: str) -> int:
    """Boundaries."""
    with connect(url) as connection:
        found = connection.execute(sa.select(sa.func.count()).select_from(billed_periods)).scalar_one()
    return int(found)


def kill_two_runs(command_line: list[str], url: str, longest: float) -> int:
    """Kills the runs up to `longest` seconds after they recorded a period; returns how many were still running.

    The wait for a period is why a slow machine does not kill every pair before it has billed anything.
    """
    billed_before = count_billed(url)
    pair = [subprocess.Popen(command_line, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for one in pair:
        assert one.stdout is not None
        assert one.stdout.readline() == "running\n"
    while count_billed(url) == billed_before and any(one.poll() is None for one in pair):
        time.sleep(0.005)
    time.sleep(_CHANCE.uniform(0, longest))  # The random moment of the kill.
    kills = 0
    for one in pair:
        kills += one.poll() is None
        one.kill()
        one.communicate()
    return kills
