"""Each hole of the flush protocol with the mutant that reopens it, and runs that must fail for it."""

from typing import Any

import msgspec

from schemas.timestamps import DAY
from stream_processors.backends.store.embedded import EmbeddedStore
from stream_processors.backends.store.guarded import GuardedStore
from tests.simulator import mutant_partitions, mutants
from tests.simulator.components import EMBEDDED, GUARDED, Components
from tests.simulator.engine import FaultyEngine
from tests.simulator.faults import CallOutcome
from tests.simulator.memoized_partition import RememberingPartition
from tests.simulator.reader import Reader, ReceiptReader
from tests.simulator.scenario import Scenario
from tests.simulator.scenarios import (
    ENDS,
    EVERYTHING,
    EVERYTHING_GUARDED,
    LAGGING,
    LATE_METERS,
    OLD_KEYS,
    REPEATS,
    REPLAYED,
    TWO_FRAMES,
)
from tests.simulator.simulation import Setup


class Hole(msgspec.Struct, frozen=True, kw_only=True):
    """A disabled protection, and the scenario that shows the damage."""

    line: str
    """The number of the hole in the protocol's list, or of the invariant."""
    name: str
    setup: Setup
    seed: int
    """The seed of a failing run, so that the proof is quick. If calls change, a search from it finds another."""


def _hole(
    line: str, mutant: type, scenario: Scenario, seed: int, *, among: Components = EMBEDDED, **changes: object
) -> Hole:
    part = next(part for part, kinds in _KINDS.items() if issubclass(mutant, kinds))
    return _made(line, mutant.__name__, msgspec.structs.replace(among, **{part: mutant}), scenario, seed, **changes)


def _made(line: str, name: str, parts: Components, scenario: Scenario, seed: int, **changes: object) -> Hole:
    parts = msgspec.structs.replace(parts, checks_rows=line == "rows")
    rules = msgspec.structs.replace(EVERYTHING if parts.processes == 1 else EVERYTHING_GUARDED, **changes)
    return Hole(line=line, name=name, setup=Setup(scenario, rules, parts), seed=seed)


_KINDS: dict[str, tuple[type, ...]] = {
    "store": (EmbeddedStore, GuardedStore),
    "engine": (FaultyEngine,),
    "partition": (RememberingPartition,),
    "receipt_reader": (ReceiptReader,),
    "reader": (Reader,),
}

_STALLS: dict[str, Any] = {
    "outcomes": frozenset(),
    "crash": False,
    "power_cut": False,
    "forget_tokens": False,
    "store_dies": False,
    "expiry": False,
    "backfill": False,
    "reader": False,
    "trickle": False,
}
"""Two statements must overlap, with no other fault."""

_LOST_REPLIES: dict[str, Any] = {
    "outcomes": frozenset({CallOutcome.REPLY_LOST}),
    "crash": False,
    "power_cut": False,
    "expiry": False,
    "backfill": False,
    "reader": False,
    "trickle": False,
    "pauses": False,
}
"""An insert whose reply and whose token are lost, with no other fault."""

HOLES = (
    _hole("H1", mutants.TrustsTokens, REPEATS, 19),
    _made(
        "H1",
        "HastyRepeats",
        msgspec.structs.replace(GUARDED, engine=mutants.HastyRepeats),
        TWO_FRAMES,
        10095,
        **_STALLS,
    ),
    _hole("H2", mutants.TokensAlone, REPEATS, 9),
    _hole("H3", mutants.NoSection, REPEATS, 37, outcomes=frozenset()),
    _hole("H3", mutants.ClientChecks, REPEATS, 298, among=GUARDED, outcomes=ENDS),
    _hole("H3", mutants.UnguardedStatements, REPEATS, 16, among=GUARDED, outcomes=ENDS | {CallOutcome.LATE}),
    _hole("H4", mutant_partitions.FilterBeforeClaims, REPEATS, 31),
    _hole("H4", mutant_partitions.SkipsWithoutBoot, REPEATS, 2),
    _hole("H4", mutant_partitions.KeepsOldFilter, REPEATS, 2),
    _hole("H4", mutant_partitions.EmptyFlushLeavesNothing, REPEATS, 11),
    _hole("H5", mutant_partitions.AdoptsRangeOnly, LATE_METERS, 6),
    _hole("H6", mutant_partitions.VersionFalls, LATE_METERS, 234, outcomes=frozenset({CallOutcome.STALE})),
    _hole("H7", mutants.ActiveAtWatermark, LATE_METERS, 0),
    _hole("H8", mutant_partitions.NoBarrier, LATE_METERS, 3),
    _hole("H9", mutants.ForgetfulEvents, OLD_KEYS, 13),
    _made("H10", "ExpiryByWallClock", msgspec.structs.replace(EMBEDDED, expiry_judged_by=max), LAGGING, 0),
    _made("H11", "WindowTooShort", msgspec.structs.replace(EMBEDDED, window=35 * DAY), OLD_KEYS, 0),
    _hole("H12", mutant_partitions.SeveralBatches, TWO_FRAMES, 0),
    _hole("H13", mutants.UnsyncedUsage, REPEATS, 16),
    _hole("H15", mutants.FlushesByTime, REPEATS, 19, among=GUARDED),
    _hole("H16", mutant_partitions.UsageBeforeEvents, TWO_FRAMES, 0),
    _hole("H16", mutants.LooksNoFurther, REPEATS, 0),
    _hole("H17", mutant_partitions.RejectsOnce, REPEATS, 2),
    _hole("H17", mutants.LooseRejects, REPEATS, 1),
    _hole("H18", mutant_partitions.MonthOfTheEvent, TWO_FRAMES, 0),
    _hole("I5", mutant_partitions.SeenFirst, TWO_FRAMES, 0),
    _hole("I5", mutant_partitions.DoneTooSoon, TWO_FRAMES, 0),
    _hole("replay", mutant_partitions.TriesLeaveNoKey, REPLAYED, 0),
    _hole("replay", mutant_partitions.TriesAreAlwaysNew, REPLAYED, 0),
    _hole("replay", mutant_partitions.TriesWithoutMeterCount, LATE_METERS, 211),
    _hole("memory", mutants.KnowsDespiteErrors, REPEATS, 65, **_LOST_REPLIES),
    _hole("memory", mutants.KnowsFromTheStart, REPEATS, 48),
    _hole("first", mutants.DoneWithoutRows, REPEATS, 12, among=GUARDED),
    _hole("rows", mutants.AnyNumberOfPieces, TWO_FRAMES, 2, among=GUARDED),
    _hole("first", mutants.OutOfOrder, REPEATS, 1, among=GUARDED),
    _hole("first", mutants.NeverLooks, REPEATS, 12, among=GUARDED),
    _hole("first", mutants.AssumesOwnPieces, TWO_FRAMES, 2, among=GUARDED),
    _hole("pieces", mutants.NamedByContent, TWO_FRAMES, 8, among=GUARDED),
    _hole("pieces", mutants.LastPieceIsReceipt, TWO_FRAMES, 5, among=GUARDED),
    _hole("pieces", mutants.FirstPieceIsReceipt, TWO_FRAMES, 1),
    _hole("pieces", mutant_partitions.OwnPieces, TWO_FRAMES, 0),
    _hole("pieces", mutants.TakesAnyReceipt, TWO_FRAMES, 1),
    _hole("rows", mutant_partitions.CountsOwnRows, REPEATS, 0),
    _hole("rows", mutant_partitions.CountsOwnPieces, TWO_FRAMES, 0),
    _hole("ack", mutant_partitions.AcknowledgesFirst, TWO_FRAMES, 0),
)
