"""The scenarios that are searched, and the faults in each."""

import msgspec

from tests.simulator.components import EMBEDDED, GUARDED, REPLICATED, Components
from tests.simulator.faults import CallOutcome, Rules
from tests.simulator.scenario import PostedEvent, PostedFrame, Scenario, replayed
from tests.simulator.simulation import Setup

FIVE_MINUTES = 5 / 1440

TWO_FRAMES = Scenario(
    "two frames",
    (
        PostedFrame((PostedEvent("a"), PostedEvent("b", '"x"'), replayed("rej_0"))),
        PostedFrame(
            (PostedEvent("a"), PostedEvent("b", "3"), PostedEvent("c"), replayed("rej_0"), replayed("rej_1", '"x"'))
        ),
    ),
)
"""A duplicate and a conflict across frames, and a value that cannot be counted.

A reject is replayed in both frames, another one without success.
"""

REPEATS = Scenario(
    "repeats",
    (
        PostedFrame((PostedEvent("a"), PostedEvent("a"), PostedEvent("b", "2"))),
        PostedFrame((PostedEvent("b", "2"), PostedEvent("c", "5", "bob"))),
        PostedFrame((PostedEvent("a", "9"), PostedEvent("c", "5", "bob"), PostedEvent("d", '"x"'))),
        PostedFrame((PostedEvent("d", '"x"'), PostedEvent("b", "2"))),
        PostedFrame((replayed("rej_0"), replayed("rej_0"))),
        PostedFrame((replayed("rej_0"), PostedEvent("e", "7"), PostedEvent("e", "8"))),
    ),
)
"""Within a flush, across flushes, twice over; the fourth frame brings nothing new.

A reject is replayed twice."""

LATE_METERS = Scenario(
    "late meters",
    (
        PostedFrame((PostedEvent("a", "2"), PostedEvent("b", '"x"'))),
        PostedFrame((PostedEvent("a", "2"), PostedEvent("c", "3"))),
        PostedFrame(
            (PostedEvent("d", "4", "bob"), PostedEvent("b", "5"), replayed("rej_0"), replayed("rej_1", meter="late"))
        ),
    ),
    versions=3,
)
"""The last replay has no effect if its flush does not know the meter, as for an archived meter."""

REPLAYED = Scenario(
    "rejects tried again",
    (
        PostedFrame((PostedEvent("a", '"x"'), PostedEvent("b", '"x"'))),
        PostedFrame((replayed("rej_a"), replayed("rej_b", '"x"'))),
        PostedFrame((replayed("rej_b"), replayed("rej_a", '"x"'), PostedEvent("a", '"x"'))),
        PostedFrame((replayed("rej_b_again"), replayed("rej_b_again", '"x"')), day=20),
        PostedFrame((replayed("rej_a"), replayed("rej_b"), replayed("rej_b_again")), day=35),
    ),
)
"""One replay counts at once; another fails, and its reject is replayed. Later replays change neither."""

OLD_KEYS = Scenario(
    "old keys",
    (
        PostedFrame((PostedEvent("a"), PostedEvent("b"))),
        PostedFrame((PostedEvent("c", backfill=True), PostedEvent("a", backfill=True)), day=1),
        PostedFrame((PostedEvent("a"),), day=35 + 0.9 * FIVE_MINUTES),
        PostedFrame((PostedEvent("a", backfill=True), PostedEvent("b")), day=37),
        PostedFrame((PostedEvent("c", "2", backfill=True), PostedEvent("c")), day=80),
    ),
)
"""Retries just inside the window, just outside, and long after under the backfill scope."""

LAGGING = Scenario(
    "a worker that lags",
    (
        PostedFrame((PostedEvent("a"), PostedEvent("b"))),
        PostedFrame((PostedEvent("c"),), day=20),
        PostedFrame((PostedEvent("a"), PostedEvent("d")), day=34),
        PostedFrame((PostedEvent("c"), PostedEvent("b")), day=54),
        PostedFrame((PostedEvent("e"),), day=140),
    ),
)

ENDS = frozenset({CallOutcome.FAILS, CallOutcome.REPLY_LOST})
EMBEDDED_ENDS = ENDS | {CallOutcome.TOKEN_ONLY}
REPLICATED_ENDS = ENDS | {CallOutcome.LATE}
GUARDED_ENDS = REPLICATED_ENDS | {CallOutcome.TOKEN_ONLY}

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
    outcomes=EMBEDDED_ENDS | {CallOutcome.STALE},
    expiry=True,
    trickle=True,
    pauses=True,
    backfill=True,
    reader=True,
)
EVERYTHING_GUARDED = msgspec.structs.replace(
    EVERYTHING, outcomes=GUARDED_ENDS | {CallOutcome.STALE}, store_dies=True, stalls=True
)
EVERYTHING_REPLICATED = msgspec.structs.replace(
    EVERYTHING, outcomes=REPLICATED_ENDS | {CallOutcome.STALE}, store_dies=True
)

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
"""Bounded by how often a worker that could continue has to wait; `--switches` raises the bound."""

SCENARIOS = (TWO_FRAMES, REPEATS, LATE_METERS, REPLAYED, OLD_KEYS, LAGGING)

RANDOM = {
    f"{parts_name}, {scenario.name}": Setup(scenario, rules, parts)
    for parts_name, parts, rules in (
        ("embedded", EMBEDDED, EVERYTHING),
        ("guarded", GUARDED, EVERYTHING_GUARDED),
        ("replicated", REPLICATED, EVERYTHING_REPLICATED),
    )
    for scenario in SCENARIOS
}


def with_parts(setup: Setup, parts: Components) -> Setup:
    """The same runs with other components."""
    return Setup(setup.scenario, setup.rules, parts)
