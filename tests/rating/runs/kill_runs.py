"""Starts runs in separate processes, two at a time, and kills them with -9 at random moments."""

import subprocess
import sys
import time
from random import SystemRandom

import sqlalchemy as sa

from rating.ledger.engine import create_engine
from rating.ledger.invoice_tables import billed_periods

_CHANCE = SystemRandom()


def command(url: str, as_of: int, *paths: str) -> list[str]:
    return [sys.executable, "-m", "tests.rating.runs.killed_run", url, str(as_of), *paths]


def kill_two_runs(command_line: list[str], longest: float) -> int:
    """The number of runs that were still running when they were killed."""
    pair = [subprocess.Popen(command_line, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for one in pair:
        assert one.stdout is not None
        assert one.stdout.readline() == "running\n"
    time.sleep(_CHANCE.uniform(0.1, longest))  # The random moment of the kill.
    kills = 0
    for one in pair:
        kills += one.poll() is None
        one.kill()
        one.communicate()
    return kills


def count_billed(url: str) -> int:
    """Boundaries."""
    engine = create_engine(url)
    with engine.connect() as connection:
        found = connection.execute(sa.select(sa.func.count()).select_from(billed_periods)).scalar_one()
    engine.dispose()
    return int(found)
