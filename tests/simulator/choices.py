"""Where a run's decisions come from: a recorded list, a seed, or a prefix that an exhaustive search extends."""

import random
from collections.abc import Sequence
from typing import Protocol


class Choices(Protocol):
    """Every decision of a run is one number, so a list of numbers is a run."""

    taken: list[int]

    def pick(self, weights: Sequence[float]) -> int:
        """The index of one of the options."""
        ...


class Recorded:
    """Replays a run. Past the end of the list it picks the first option each time."""

    def __init__(self, decisions: Sequence[int]) -> None:
        self.taken: list[int] = []
        self._decisions = decisions

    def pick(self, weights: Sequence[float]) -> int:
        place = len(self.taken)
        decision = self._decisions[place] if place < len(self._decisions) else 0
        # A shortened or outdated list is still a valid run, so that a failure can be shrunk by deleting decisions.
        decision = min(decision, len(weights) - 1)
        self.taken.append(decision)
        return decision


class Drawn:
    """A random run, the same one for the same seed."""

    def __init__(self, seed: int) -> None:
        self.taken: list[int] = []
        self._random = random.Random(seed)

    def pick(self, weights: Sequence[float]) -> int:
        decision = 0
        if len(weights) > 1:
            mark = self._random.random() * sum(weights)
            while decision < len(weights) - 1 and mark >= weights[decision]:
                mark -= weights[decision]
                decision += 1
        self.taken.append(decision)
        return decision
