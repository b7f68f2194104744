"""The real flush code keeps every promise, in every interleaving and under every fault of the simulator."""

import os

import pytest

from tests.simulator.scenarios import EXHAUSTIVE, RANDOM
from tests.simulator.search import exhaustive_search, random_search
from tests.simulator.simulation import simulation_of

SEEDS = [3, pytest.param(int(os.environ.get("SIMULATOR_SEEDS", "100")), marks=pytest.mark.long)]
"""Random runs of each setup; `python -m tests.simulator --seeds N` for long searches."""

MOST_RUNS = 20_000
"""A search that needs more is not exhaustive, and fails."""

LONGEST = {
    "embedded, no fault",
    "embedded, crashes",
    "guarded, no fault",
    "guarded, crashes",
    "guarded, any one fault",
    "replicated, any one fault",
}
SEARCHES = [pytest.param(name, marks=pytest.mark.long) if name in LONGEST else name for name in EXHAUSTIVE]


@pytest.mark.parametrize("name", SEARCHES)
def test_every_run_of_a_small_log_counts_exactly_once(name: str) -> None:
    """Two workers over two frames: no interleaving within the bounds, with at most one fault, breaks a promise."""
    report = exhaustive_search(simulation_of(EXHAUSTIVE[name]), most_runs=MOST_RUNS)
    assert report.failure is None, f"{report.failure} --setup '{name}'"
    # A search that ends at once would prove nothing.
    assert report.states > 100


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("name", RANDOM)
def test_random_runs_count_exactly_once(name: str, seeds: int) -> None:
    """Crashes, zombies, lost replies, late inserts, new meters and expiry together break no promise."""
    report = random_search(simulation_of(RANDOM[name]), range(seeds))
    assert report.failure is None, f"seed {report.failure.seed}: {report.failure} --setup '{name}'"
