"""Search for a run that breaks a promise: exhaustive by depth-first replay, or random by seeds."""

from collections.abc import Callable, Hashable, Iterable, Sequence

import msgspec

from tests.simulator.checks import PromiseBroken
from tests.simulator.choices import Choices, Drawn, Recorded
from tests.simulator.simulation import Simulation

MakeSimulation = Callable[[Choices], Simulation]


class Failure(msgspec.Struct, frozen=True):
    """A run that breaks a promise, as the list of its decisions."""

    decisions: tuple[int, ...]
    reason: str
    trace: tuple[str, ...]
    seed: int | None = None

    def __str__(self) -> str:
        steps = "\n".join(f"  {number:3} {step}" for number, step in enumerate(self.trace))
        return f"{self.reason}\n{steps}\n--replay {','.join(map(str, self.decisions))}"


class SearchReport(msgspec.Struct, kw_only=True):
    """The extent of a search, and the failure it found."""

    runs: int = 0
    states: int = 0
    steps: int = 0
    failure: Failure | None = None


def replay(make: MakeSimulation, decisions: Sequence[int]) -> Failure | None:
    """Replays one run from its decisions."""
    return _run(make(Recorded(decisions)))


def random_search(make: MakeSimulation, seeds: Iterable[int]) -> SearchReport:
    """Runs one seed after another until a run fails."""
    report = SearchReport()
    for seed in seeds:
        simulation = make(Drawn(seed))
        failure = _run(simulation)
        report.runs += 1
        report.steps += len(simulation.trace)
        if failure:
            report.failure = msgspec.structs.replace(failure, seed=seed)
            break
    return report


def exhaustive_search(make: MakeSimulation, *, most_runs: int) -> SearchReport:
    """Every possible run, except those that return to a state already visited.

    A state is the store, the log, and the replies of each worker since it last had no state; equal states have equal
    futures. Reaching `most_runs` is an error, because the search is then not exhaustive.
    """
    report = SearchReport()
    visited: set[Hashable] = set()
    waiting: list[tuple[int, ...]] = [()]
    while waiting:
        report.runs += 1
        if report.runs > most_runs:
            raise RuntimeError(f"not exhaustive: {len(waiting)} branches are left after {most_runs} runs")
        branch = _Branch(waiting.pop(), visited, waiting)
        simulation = make(branch)
        branch.state = simulation.state
        failure = _run(simulation)
        report.steps += len(simulation.trace)
        report.states = len(visited)
        if failure:
            report.failure = failure
            break
    return report


class _Visited(Exception):
    """The state has been visited, so the rest of the run is known."""


class _Branch:
    """Follows a prefix, then always the first option, and records the other options as branches to run."""

    def __init__(self, prefix: tuple[int, ...], visited: set[Hashable], waiting: list[tuple[int, ...]]) -> None:
        self.taken: list[int] = []
        self.state: Callable[[], Hashable] = lambda: None
        self._prefix = prefix
        self._visited = visited
        self._waiting = waiting

    def pick(self, weights: Sequence[float]) -> int:
        place = len(self.taken)
        if place < len(self._prefix):
            decision = self._prefix[place]
        else:
            self._branch_off(len(weights))
            decision = 0
        self.taken.append(decision)
        return decision

    def _branch_off(self, options: int) -> None:
        state = self.state()
        if state in self._visited:
            raise _Visited
        self._visited.add(state)
        here = tuple(self.taken)
        self._waiting.extend((*here, option) for option in range(options - 1, 0, -1))


def _run(simulation: Simulation) -> Failure | None:
    try:
        simulation.run()
    except _Visited:
        return None
    except PromiseBroken as broken:
        return Failure(tuple(simulation.choices.taken), str(broken), tuple(simulation.trace))
    except Exception as error:
        # A crash of the code under test is a failure with a run to replay, like any other.
        return Failure(tuple(simulation.choices.taken), f"{type(error).__name__}: {error}", tuple(simulation.trace))
    finally:
        simulation.close()
    return None
