"""A short failover demo."""

import pytest

from tallyhouse.local.kafka_jars import KafkaInstallation
from tests.tallyhouse.local.cluster_terminal import run


@pytest.mark.long
def test_a_worker_is_killed_and_the_totals_are_exact(runtime: KafkaInstallation) -> None:
    """The partitions move to the other worker and back, every value is compared, and no data is left behind."""
    finished = run("cluster-demo", "--events", "20000", "--seconds", "8")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    killed = finished.stdout.index("worker 1 (process ")
    taken_over = finished.stdout.index("worker 2 has partitions 0, 1, 2, 3, 4, 5")
    assert killed < taken_over < finished.stdout.index("worker 1 is up again")
    assert finished.stdout.count("equal") == 5
    assert "Every total is exactly what was sent" in finished.stdout
    assert "kept in" not in finished.stdout
