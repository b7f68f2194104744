"""What a run is made of: the real code over the faulty engine. A mutant is the same with one part replaced."""

from collections.abc import Callable

import msgspec

from schemas.window import DEDUPE_WINDOW
from stream_processors.backends.store.embedded import EmbeddedStore
from stream_processors.backends.store.guarded import GuardedStore
from stream_processors.flushing.backfill import Backfill
from stream_processors.flushing.partition import Partition
from tests.simulator.engine import FaultyEngine, ReplicatedEngine
from tests.simulator.memoized_partition import RememberingPartition
from tests.simulator.reader import Reader
from tests.simulator.sources import KeepingLog, SimulatedLog

Store = EmbeddedStore | GuardedStore


class Components(msgspec.Struct, frozen=True, kw_only=True):
    """One of each."""

    processes: int
    """Over how many the workers are spread."""
    store: Callable[[FaultyEngine], Store]
    engine: type[FaultyEngine] = FaultyEngine
    partition: type[Partition] = RememberingPartition
    log: type[SimulatedLog] = SimulatedLog
    backfill: type[Backfill] = Backfill
    reader: type[Reader] = Reader
    window: int = DEDUPE_WINDOW
    expiry_judged_by: Callable[[int, int], int] = min
    """Of the arrival of the oldest frame not yet counted, and of the newest frame there is."""

    @property
    def store_dies_with_process(self) -> bool:
        return self.processes == 1


EMBEDDED = Components(processes=1, store=EmbeddedStore)
"""Two workers in the one process that owns the data: the second is a zombie, or the first is."""

GUARDED = Components(processes=2, store=GuardedStore, log=KeepingLog)
"""Two processes that share a store: one plain server."""

REPLICATED = Components(processes=2, store=GuardedStore, engine=ReplicatedEngine, log=KeepingLog)
"""Two processes that share a store whose tables are replicated."""
