"""Which process is struck when: drawn at random from a seed, so that a run can be repeated."""

import itertools
import random
from collections.abc import Sequence
from enum import StrEnum

import msgspec

LONGEST_DOWN = 3.0
ZOMBIE_DOWN = (8.0, 12.0)
"""Seconds, all of them longer than a worker's session."""


class Kind(StrEnum):
    """What is struck, and how."""

    GATEWAY = "gateway"
    WORKER = "worker"
    BROKER = "broker"
    STORE = "store"
    ZOMBIE = "zombie"
    """A worker that is not killed but stopped, until others have its partitions; then it goes on."""


KILLED = (Kind.GATEWAY, Kind.WORKER, Kind.BROKER, Kind.STORE)
PAIRS = (Kind.GATEWAY, Kind.WORKER, Kind.ZOMBIE)
"""Of these there are two to choose from."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One blow."""

    kind: Kind
    which: int
    """Of several of the kind."""
    at: int
    """How many events are acked when it falls."""
    down: float
    """Seconds until the process is started again, or goes on."""


def draw_plan(seed: int, *, events: int, kills: int, zombies: int) -> Sequence[Fault]:
    """Each kind of kill as often as every other, or once more; one fault in each of as many equal parts of the run."""
    chance = random.Random(seed)
    kinds = [*itertools.islice(itertools.cycle(KILLED), kills), *[Kind.ZOMBIE] * zombies]
    chance.shuffle(kinds)
    part = events / max(len(kinds), 1)
    return [_fault(chance, kind, int((number + chance.random()) * part)) for number, kind in enumerate(kinds)]


def _fault(chance: random.Random, kind: Kind, at: int) -> Fault:
    down = chance.uniform(*ZOMBIE_DOWN) if kind is Kind.ZOMBIE else chance.uniform(0, LONGEST_DOWN)
    return Fault(kind=kind, which=chance.randrange(2) if kind in PAIRS else 0, at=at, down=down)
