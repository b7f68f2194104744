"""A cluster is loaded while each of its processes is killed repeatedly: every event counts once."""

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
OPTIONS = ChaosOptions(events=200_000, kills=12, zombies=1, seed=SEED, rate=4000)
"""`make chaos` sends ten million, with 50 kills."""


@pytest.mark.long
@pytest.mark.slow
def test_every_event_counts_once_whatever_is_killed(
    tmp_path: Path, runtime: KafkaInstallation, print_uncaptured: Print
) -> None:
    """Equally many kills of each kind, and a zombie: totals, customers' sums and raw events equal what was sent."""
    print_uncaptured(f"chaos: CHAOS_SEED={SEED} repeats the plan")
    outcome = run(OPTIONS, tmp_path, runtime, lambda _progress: None)
    assert outcome.differences == []
    injected_kinds = Counter(injection.fault.kind for injection in outcome.injected)
    assert injected_kinds == dict.fromkeys(KILLED, OPTIONS.kills // len(KILLED)) | {FaultKind.ZOMBIE: 1}
    assert outcome.acked >= OPTIONS.events
    assert outcome.raw.compared == outcome.different < outcome.acked
    # Otherwise no fault hit a post in flight, and nothing was tested.
    assert outcome.posts_again >= len(outcome.injected)
