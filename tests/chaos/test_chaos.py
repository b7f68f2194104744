"""A million events for a whole cluster while every part of it is killed again and again: each counts once."""

import os
from collections import Counter
from pathlib import Path
from random import SystemRandom

import pytest

from tallyhouse.local.kafka_jars import KafkaInstallation
from tests.backing_services.kafka import Print
from tests.chaos.fault_plan import KILLED, FaultKind
from tests.chaos.run import ChaosOptions, run

SEED = int(os.environ.get("CHAOS_SEED") or SystemRandom().randrange(10**6))
OPTIONS = ChaosOptions(events=1_000_000, kills=20, zombies=1, seed=SEED, rate=8000)


@pytest.mark.slow
def test_every_event_counts_once_whatever_is_killed(
    tmp_path: Path, runtime: KafkaInstallation, print_uncaptured: Print
) -> None:
    """Five kills -9 of each kind and a zombie: totals, each customer's sums, and the raw events equal what was sent."""
    print_uncaptured(f"chaos: CHAOS_SEED={SEED} repeats it")
    outcome = run(OPTIONS, tmp_path, runtime, lambda _progress: None)
    assert outcome.differences == []
    injected_kinds = Counter(injection.fault.kind for injection in outcome.injected)
    assert injected_kinds == dict.fromkeys(KILLED, 5) | {FaultKind.ZOMBIE: 1}
    assert outcome.acked >= OPTIONS.events
    assert outcome.raw.compared == outcome.different < outcome.acked
    # Else nothing was put to the test.
    assert outcome.posts_again >= len(outcome.injected)
