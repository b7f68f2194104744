"""The scenarios that are searched, and the faults in each."""

import msgspec

from tests.simulator.components import EMBEDDED, GUARDED, REPLICATED, Parts
from tests.simulator.faults import Rules
from tests.simulator.outcomes import Outcome
from tests.simulator.scenario import Batch, Post, Scenario, tried_again
from tests.simulator.simulation import Setup

FIVE_MINUTES = 5 / 1440

TWO_FRAMES = Scenario(
    "two frames",
    (
        Batch((Post("a"), Post("b", '"x"'), tried_again("rej_0"))),
        Batch((Post("a"), Post("b", "3"), Post("c"), tried_again("rej_0"), tried_again("rej_1", '"x"'))),
    ),
)
"""A duplicate and a conflict across frames, and a value that cannot be counted.

A reject is tried again in both frames, another one in vain.
"""

REPEATS = Scenario(
    "repeats",
    (
        Batch((Post("a"), Post("a"), Post("b", "2"))),
        Batch((Post("b", "2"), Post("c", "5", "bob"))),
        Batch((Post("a", "9"), Post("c", "5", "bob"), Post("d", '"x"'))),
        Batch((Post("d", '"x"'), Post("b", "2"))),
        Batch((tried_again("rej_0"), tried_again("rej_0"))),
        Batch((tried_again("rej_0"), Post("e", "7"), Post("e", "8"))),
    ),
)
"""Within a flush, across flushes, twice over; the fourth frame brings nothing new.

A reject is tried again, and again."""

LATE_METERS = Scenario(
    "late meters",
    (
        Batch((Post("a", "2"), Post("b", '"x"'))),
        Batch((Post("a", "2"), Post("c", "3"))),
        Batch((Post("d", "4", "bob"), Post("b", "5"), tried_again("rej_0"), tried_again("rej_1", meter="late"))),
    ),
    versions=3,
)
"""The last try is no try where its flush does not know the meter, as where the meter was archived."""

TRIED_AGAIN = Scenario(
    "rejects tried again",
    (
        Batch((Post("a", '"x"'), Post("b", '"x"'))),
        Batch((tried_again("rej_a"), tried_again("rej_b", '"x"'))),
        Batch((tried_again("rej_b"), tried_again("rej_a", '"x"'), Post("a", '"x"'))),
        Batch((tried_again("rej_b_again"), tried_again("rej_b_again", '"x"')), day=20),
        Batch((tried_again("rej_a"), tried_again("rej_b"), tried_again("rej_b_again")), day=35),
    ),
)
"""One counts at once, and one whose first try fails, with the try of that; nothing later changes either."""

OLD_KEYS = Scenario(
    "old keys",
    (
        Batch((Post("a"), Post("b"))),
        Batch((Post("c", backfill=True), Post("a", backfill=True)), day=1),
        Batch((Post("a"),), day=35 + 0.9 * FIVE_MINUTES),
        Batch((Post("a", backfill=True), Post("b")), day=37),
        Batch((Post("c", "2", backfill=True), Post("c")), day=80),
    ),
)
"""Retries just inside the window, just outside, and long after under the backfill scope."""

LAGGING = Scenario(
    "a worker that lags",
    (
        Batch((Post("a"), Post("b"))),
        Batch((Post("c"),), day=20),
        Batch((Post("a"), Post("d")), day=34),
        Batch((Post("c"), Post("b")), day=54),
        Batch((Post("e"),), day=140),
    ),
)

ENDS = frozenset({Outcome.FAILS, Outcome.REPLY_LOST})
EMBEDDED_ENDS = ENDS | {Outcome.TOKEN_ONLY}
REPLICATED_ENDS = ENDS | {Outcome.LATE}
GUARDED_ENDS = REPLICATED_ENDS | {Outcome.TOKEN_ONLY}

QUIET = Rules(switches=2)
QUIET_GUARDED = Rules(switches=1)
CRASHES = Rules(faults=1, crash=True, switches=1)
CRASHES_GUARDED = Rules(faults=1, crash=True, switches=0)
ONE_FAULT = Rules(faults=1, crash=True, power_cut=True, forget_tokens=True, outcomes=EMBEDDED_ENDS, switches=0)
ONE_FAULT_GUARDED = msgspec.structs.replace(ONE_FAULT, outcomes=GUARDED_ENDS, store_dies=True, stalls=True)
ONE_FAULT_REPLICATED = msgspec.structs.replace(ONE_FAULT, outcomes=REPLICATED_ENDS, store_dies=True)

EVERYTHING = Rules(
    faults=5,
    crash=True,
    power_cut=True,
    forget_tokens=True,
    outcomes=EMBEDDED_ENDS | {Outcome.STALE},
    expiry=True,
    trickle=True,
    pauses=True,
    backfill=True,
    reader=True,
)
EVERYTHING_GUARDED = msgspec.structs.replace(
    EVERYTHING, outcomes=GUARDED_ENDS | {Outcome.STALE}, store_dies=True, stalls=True
)
EVERYTHING_REPLICATED = msgspec.structs.replace(EVERYTHING, outcomes=REPLICATED_ENDS | {Outcome.STALE}, store_dies=True)

_BOUNDED = (
    ("embedded", EMBEDDED, {"no fault": QUIET, "crashes": CRASHES, "any one fault": ONE_FAULT}),
    ("guarded", GUARDED, {"no fault": QUIET_GUARDED, "crashes": CRASHES_GUARDED, "any one fault": ONE_FAULT_GUARDED}),
    ("replicated", REPLICATED, {"any one fault": ONE_FAULT_REPLICATED}),
)

EXHAUSTIVE = {
    f"{parts_name}, {rules_name}": Setup(TWO_FRAMES, rules, parts)
    for parts_name, parts, bounded in _BOUNDED
    for rules_name, rules in bounded.items()
}
"""Bounded by how often a worker that could go on is made to wait: `--switches` goes further."""

SCENARIOS = (TWO_FRAMES, REPEATS, LATE_METERS, TRIED_AGAIN, OLD_KEYS, LAGGING)

RANDOM = {
    f"{parts_name}, {scenario.name}": Setup(scenario, rules, parts)
    for parts_name, parts, rules in (
        ("embedded", EMBEDDED, EVERYTHING),
        ("guarded", GUARDED, EVERYTHING_GUARDED),
        ("replicated", REPLICATED, EVERYTHING_REPLICATED),
    )
    for scenario in SCENARIOS
}


def with_parts(setup: Setup, parts: Parts) -> Setup:
    """The same runs, with something else in them."""
    return Setup(setup.scenario, setup.rules, parts)
