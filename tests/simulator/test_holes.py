"""The test of the simulator: with any one protection disabled, it must fail."""

import msgspec
import pytest

from tests.simulator import mutant_partitions, mutants
from tests.simulator.choices import Drawn, Recorded
from tests.simulator.components import EMBEDDED
from tests.simulator.holes import HOLES, Hole
from tests.simulator.scenarios import EVERYTHING, TWO_FRAMES
from tests.simulator.search import random_search, replay
from tests.simulator.simulation import Setup, Simulation, simulation_of

MOST_SEEDS = 400


@pytest.mark.parametrize("hole", HOLES, ids=lambda hole: f"{hole.line}-{hole.name}")
def test_the_simulator_finds_each_hole(hole: Hole) -> None:
    """A change that removes a protection fails here."""
    report = random_search(simulation_of(hole.setup), range(hole.seed, hole.seed + MOST_SEEDS))
    assert report.failure is not None, f"{hole.line}: {report.runs} runs, and none shows the hole {hole.name}"


def test_a_failure_can_be_replayed() -> None:
    """The decisions that a failure prints lead to the same failure."""
    setup = next(hole.setup for hole in HOLES if hole.name == mutants.TokensAlone.__name__)
    failure = random_search(simulation_of(setup), range(MOST_SEEDS)).failure
    assert failure is not None
    again = replay(simulation_of(setup), failure.decisions)
    assert again == msgspec.structs.replace(failure, seed=None)


def test_a_seed_is_one_run() -> None:
    """Only the seed decides: no clock, no hash order, no earlier run."""
    setup = Setup(TWO_FRAMES, EVERYTHING, EMBEDDED)
    simulations = [Simulation(setup, Drawn(7)), Simulation(setup, Drawn(7))]
    for simulation in simulations:
        simulation.run()
    third = Simulation(setup, Recorded(simulations[0].choices.taken))
    third.run()
    assert simulations[0].trace == simulations[1].trace == third.trace


def test_a_cut_log_is_an_alarm() -> None:
    """H22: a frame deleted before it was counted stops the partition; without the alarm it would be lost."""
    quiet = msgspec.structs.replace(EVERYTHING, faults=0)
    cut = msgspec.structs.replace(EMBEDDED, log=mutants.CutLog)
    report = random_search(simulation_of(Setup(TWO_FRAMES, quiet, cut)), range(3))
    assert report.failure is not None
    assert "no longer in the log" in report.failure.reason
    unnoticed = msgspec.structs.replace(cut, partition=mutant_partitions.TrustsTheLog)
    report = random_search(simulation_of(Setup(TWO_FRAMES, quiet, unnoticed)), range(3))
    assert report.failure is not None
    assert report.failure.reason.startswith("I3")
