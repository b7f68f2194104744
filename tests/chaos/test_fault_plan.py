"""The plan of faults is what was asked for, all over the run, and can be repeated."""

from collections import Counter

import pytest

from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.workers.faust_settings import StreamSettings
from tests.chaos.fault_plan import KILLED, ZOMBIE_DOWN, FaultKind, draw_plan


@pytest.mark.parametrize("seed", range(20))
def test_every_kind_is_struck_as_often_as_asked_for(seed: int) -> None:
    """Whatever the seed: twenty kills are five of each kind; each part of the run has its fault."""
    plan = draw_plan(seed, events=210_000, kills=20, zombies=1)
    assert Counter(fault.kind for fault in plan) == dict.fromkeys(KILLED, 5) | {FaultKind.ZOMBIE: 1}
    assert [fault.at // 10_000 for fault in plan] == list(range(21))


def test_a_seed_repeats_its_plan() -> None:
    """And another one makes another."""
    one, same, other = (draw_plan(seed, events=1000, kills=9, zombies=2) for seed in (1, 1, 2))
    assert one == same != other


def test_a_zombie_sleeps_longer_than_its_session() -> None:
    """Else nobody would take its partitions."""
    assert min(ZOMBIE_DOWN) > StreamSettings(cluster=KafkaCluster(servers="none:1"), topic="frames").session_seconds
