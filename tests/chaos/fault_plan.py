"""Draws from a seed which process fails when, so that a run can be repeated."""

import itertools
import random
from collections.abc import Sequence
from enum import StrEnum

import msgspec

MAX_DOWN_SECONDS = 3.0
ZOMBIE_DOWN_SECONDS = (8.0, 12.0)
"""Both longer than a worker's session with Kafka."""


class FaultKind(StrEnum):
    """The process that fails, and how."""

    GATEWAY = "gateway"
    WORKER = "worker"
    BROKER = "broker"
    STORE = "store"
    ZOMBIE = "zombie"
    """A worker is paused until the others own its partitions, and then resumed."""


KILLED = (FaultKind.GATEWAY, FaultKind.WORKER, FaultKind.BROKER, FaultKind.STORE)
PAIRS = (FaultKind.GATEWAY, FaultKind.WORKER, FaultKind.ZOMBIE)
"""The cluster has two processes of each of these."""


class PlannedFault(msgspec.Struct, frozen=True, kw_only=True):
    kind: FaultKind
    which: int
    """The index among the processes of this kind."""
    at: int
    """The number of acknowledged events at which the fault is due."""
    down: float
    """Seconds until the process is restarted or resumed."""


def draw_plan(seed: int, *, events: int, kills: int, zombies: int) -> Sequence[PlannedFault]:
    """Draws one fault for each of as many equal parts of the run; kinds of kill differ in number by at most one."""
    rng = random.Random(seed)
    kinds = [*itertools.islice(itertools.cycle(KILLED), kills), *[FaultKind.ZOMBIE] * zombies]
    rng.shuffle(kinds)
    part = events / max(len(kinds), 1)
    return [_fault(rng, kind, int((number + rng.random()) * part)) for number, kind in enumerate(kinds)]


def _fault(rng: random.Random, kind: FaultKind, at: int) -> PlannedFault:
    down = rng.uniform(*ZOMBIE_DOWN_SECONDS) if kind is FaultKind.ZOMBIE else rng.uniform(0, MAX_DOWN_SECONDS)
    return PlannedFault(kind=kind, which=rng.randrange(2) if kind in PAIRS else 0, at=at, down=down)
