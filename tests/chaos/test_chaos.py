"""A million events for a whole cluster while every part of it is killed again and again: each counts once."""

import os
from collections import Counter
from pathlib import Path
from random import SystemRandom

import pytest

from tallyhouse.local.kafka_jars import Runtime
from tests.backing_services.kafka import Tell
from tests.chaos.fault_plan import KILLED, Kind
from tests.chaos.run import Orders, run

SEED = int(os.environ.get("CHAOS_SEED") or SystemRandom().randrange(10**6))
ORDERS = Orders(events=1_000_000, kills=20, zombies=1, seed=SEED, rate=8000)


@pytest.mark.slow
def test_every_event_counts_once_whatever_is_killed(tmp_path: Path, runtime: Runtime, tell_aloud: Tell) -> None:
    """Five kills -9 of each kind and a zombie: totals, each customer's sums, and the raw events equal what was sent."""
    tell_aloud(f"chaos: CHAOS_SEED={SEED} repeats it")
    outcome = run(ORDERS, tmp_path, runtime, lambda _progress: None)
    assert outcome.differences == []
    struck = Counter(deed.fault.kind for deed in outcome.deeds)
    assert struck == dict.fromkeys(KILLED, 5) | {Kind.ZOMBIE: 1}
    assert outcome.acked >= ORDERS.events
    assert outcome.raw.compared == outcome.different < outcome.acked
    # Else nothing was put to the test.
    assert outcome.posts_again >= len(outcome.deeds)
