"""The plan has the requested faults, spread over the run, and can be repeated."""

from collections import Counter

import pytest

from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.workers.faust_settings import StreamSettings
from tests.chaos.fault_plan import KILLED, ZOMBIE_DOWN_SECONDS, FaultKind, draw_plan


@pytest.mark.parametrize("seed", range(20))
def test_every_kind_of_fault_is_as_frequent_as_requested(seed: int) -> None:
    """For every seed, twenty kills are five of each kind, and each part of the run has one fault."""
    plan = draw_plan(seed, events=210_000, kills=20, zombies=1)
    assert Counter(fault.kind for fault in plan) == dict.fromkeys(KILLED, 5) | {FaultKind.ZOMBIE: 1}
    assert [fault.at // 10_000 for fault in plan] == list(range(21))


def test_the_same_seed_draws_the_same_plan() -> None:
    one, same, other = (draw_plan(seed, events=1000, kills=9, zombies=2) for seed in (1, 1, 2))
    assert one == same != other


def test_a_zombie_sleeps_longer_than_its_session() -> None:
    """Otherwise its partitions would keep their owner."""
    assert (
        min(ZOMBIE_DOWN_SECONDS)
        > StreamSettings(cluster=KafkaCluster(servers="none:1"), topic="frames").session_seconds
    )
