"""Which process is struck when: drawn at random from a seed, so that a run can be repeated."""

import itertools
import random
from collections.abc import Sequence
from enum import StrEnum

import msgspec

LONGEST_DOWN = 3.0
ZOMBIE_DOWN = (8.0, 12.0)
"""Seconds, all of them longer than a worker's session."""


class FaultKind(StrEnum):
    """What is struck, and how."""

    GATEWAY = "gateway"
    WORKER = "worker"
    BROKER = "broker"
    STORE = "store"
    ZOMBIE = "zombie"
    """A worker that is not killed but stopped, until others have its partitions; then it goes on."""


KILLED = (FaultKind.GATEWAY, FaultKind.WORKER, FaultKind.BROKER, FaultKind.STORE)
PAIRS = (FaultKind.GATEWAY, FaultKind.WORKER, FaultKind.ZOMBIE)
"""Of these there are two to choose from."""


class PlannedFault(msgspec.Struct, frozen=True, kw_only=True):
    """One blow."""

    kind: FaultKind
    which: int
    """Of several of the kind."""
    at: int
    """How many events are acked when it falls."""
    down: float
    """Seconds until the process is started again, or goes on."""


def draw_plan(seed: int, *, events: int, kills: int, zombies: int) -> Sequence[PlannedFault]:
    """Each kind of kill as often as every other, or once more; one fault in each of as many equal parts of the run."""
    chance = random.Random(seed)
    kinds = [*itertools.islice(itertools.cycle(KILLED), kills), *[FaultKind.ZOMBIE] * zombies]
    chance.shuffle(kinds)
    part = events / max(len(kinds), 1)
    return [_fault(chance, kind, int((number + chance.random()) * part)) for number, kind in enumerate(kinds)]


def _fault(chance: random.Random, kind: FaultKind, at: int) -> PlannedFault:
    down = chance.uniform(*ZOMBIE_DOWN) if kind is FaultKind.ZOMBIE else chance.uniform(0, LONGEST_DOWN)
    return PlannedFault(kind=kind, which=chance.randrange(2) if kind in PAIRS else 0, at=at, down=down)
