"""Finding a run that breaks a promise: exhaustively by depth-first replay, or at random by seeds."""

from collections.abc import Callable, Hashable, Iterable, Sequence

import msgspec

from tests.simulator.checks import Broken
from tests.simulator.choices import Choices, Drawn, Recorded
from tests.simulator.simulation import World

MakeWorld = Callable[[Choices], World]


class Failure(msgspec.Struct, frozen=True):
    """A run that breaks a promise, as the list of its decisions."""

    decisions: tuple[int, ...]
    reason: str
    trace: tuple[str, ...]
    seed: int | None = None

    def __str__(self) -> str:
        steps = "\n".join(f"  {number:3} {step}" for number, step in enumerate(self.trace))
        return f"{self.reason}\n{steps}\n--replay {','.join(map(str, self.decisions))}"


class Report(msgspec.Struct, kw_only=True):
    """How much was searched, and what was found."""

    runs: int = 0
    states: int = 0
    steps: int = 0
    failure: Failure | None = None


def replay(make: MakeWorld, decisions: Sequence[int]) -> Failure | None:
    """One run, from its decisions."""
    return _run(make(Recorded(decisions)))


def random_search(make: MakeWorld, seeds: Iterable[int]) -> Report:
    """One run per seed, until one fails."""
    report = Report()
    for seed in seeds:
        world = make(Drawn(seed))
        failure = _run(world)
        report.runs += 1
        report.steps += len(world.trace)
        if failure:
            report.failure = msgspec.structs.replace(failure, seed=seed)
            break
    return report


def exhaustive_search(make: MakeWorld, *, most_runs: int) -> Report:
    """Every run there is, except those that come back to a state already seen.

    A state is the store, the log, and what each worker has learnt since it last knew nothing; from equal states
    equal futures follow. Running out of `most_runs` is an error: then it was not exhaustive.
    """
    report = Report()
    visited: set[Hashable] = set()
    waiting: list[tuple[int, ...]] = [()]
    while waiting:
        report.runs += 1
        if report.runs > most_runs:
            raise RuntimeError(f"not exhaustive: {len(waiting)} branches are left after {most_runs} runs")
        branch = _Branch(waiting.pop(), visited, waiting)
        world = make(branch)
        branch.state = world.state
        failure = _run(world)
        report.steps += len(world.trace)
        report.states = len(visited)
        if failure:
            report.failure = failure
            break
    return report


class _Visited(Exception):
    """The rest of this run is known."""


class _Branch:
    """Follows a prefix, then always the first option, leaving the others behind as branches still to run."""

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


def _run(world: World) -> Failure | None:
    try:
        world.run()
    except _Visited:
        return None
    except Broken as broken:
        return Failure(tuple(world.choices.taken), str(broken), tuple(world.trace))
    except Exception as error:
        # A crash of the code under test is a failure with a run to replay, like any other.
        return Failure(tuple(world.choices.taken), f"{type(error).__name__}: {error}", tuple(world.trace))
    finally:
        world.close()
    return None
