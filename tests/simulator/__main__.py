"""`python -m tests.simulator`: long searches, and replays of single runs."""

import argparse
import sys
import time

import msgspec

from tests.simulator.holes import HOLES
from tests.simulator.scenarios import EXHAUSTIVE, RANDOM
from tests.simulator.search import SearchReport, exhaustive_search, random_search, replay
from tests.simulator.simulation import Setup, simulation_of

SETUPS: dict[str, Setup] = {**RANDOM, **EXHAUSTIVE, **{hole.name: hole.setup for hole in HOLES}}
MOST_RUNS = 10_000_000


def main(arguments: list[str]) -> int:
    """Exit code 0 if every promise held."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--setup", action="append", choices=SETUPS, help="only this one (may be repeated)")
    parser.add_argument("--seeds", type=int, default=200, help="how many random runs of each")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--exhaustive", action="store_true", help="the exhaustive searches instead of the random ones")
    parser.add_argument("--switches", type=int, help="another bound for the exhaustive searches")
    parser.add_argument("--replay", help="the decisions of one run, as a failure prints them; needs --setup")
    chosen = parser.parse_args(arguments)
    if chosen.replay is not None:
        if not chosen.setup or len(chosen.setup) != 1:
            parser.error("--replay needs the one --setup that the failure names")
        return _replay(SETUPS[chosen.setup[0]], chosen.replay)
    names = chosen.setup or list(EXHAUSTIVE if chosen.exhaustive else RANDOM)
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.seeds)
    setups = {name: _bounded(SETUPS[name], chosen.switches) for name in names}
    failed = [name for name in names if not _holds(name, setups[name], seeds, exhaustive=chosen.exhaustive)]
    return 1 if failed else 0


def _bounded(setup: Setup, switches: int | None) -> Setup:
    if switches is None:
        return setup
    return Setup(setup.scenario, msgspec.structs.replace(setup.rules, switches=switches), setup.parts)


def _holds(name: str, setup: Setup, seeds: range, *, exhaustive: bool) -> bool:
    began = time.perf_counter()
    make = simulation_of(setup)
    report = exhaustive_search(make, most_runs=MOST_RUNS) if exhaustive else random_search(make, seeds)
    _print_report(name, report, time.perf_counter() - began)
    return report.failure is None


def _replay(setup: Setup, decisions: str) -> int:
    failure = replay(simulation_of(setup), [int(decision) for decision in decisions.split(",") if decision])
    print(failure or "this run keeps every promise")
    return 1 if failure else 0


def _print_report(name: str, report: SearchReport, seconds: float) -> None:
    rate = report.runs / seconds
    print(f"{name}: {report.runs} runs, {report.states} states, {report.steps} steps, {rate:.0f} runs/s", flush=True)
    if report.failure:
        print(f"FAILED (seed {report.failure.seed})\n{report.failure} --setup '{name}'")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
