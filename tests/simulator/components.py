"""The components of a run: the real code over the faulty engine. A mutant replaces one of them."""

from collections.abc import Callable

import msgspec

from schemas.window import DEDUPE_WINDOW
from stream_processors.backends.store.embedded import EmbeddedStore
from stream_processors.backends.store.guarded import GuardedStore
from stream_processors.flushing.backfill import Backfill
from stream_processors.flushing.partition import Partition
from tests.simulator.engine import FaultyEngine, ReplicatedEngine
from tests.simulator.memoized_partition import RememberingPartition
from tests.simulator.reader import Reader, ReceiptReader
from tests.simulator.sources import KeepingLog, SimulatedLog

Store = EmbeddedStore | GuardedStore


class Components(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of the real code and of the simulation that a run uses."""

    processes: int
    """The number of processes that the workers are spread over."""
    store: Callable[[FaultyEngine], Store]
    engine: type[FaultyEngine] = FaultyEngine
    partition: type[Partition] = RememberingPartition
    log: type[SimulatedLog] = SimulatedLog
    backfill: type[Backfill] = Backfill
    reader: type[Reader] = Reader
    receipt_reader: type[ReceiptReader] = ReceiptReader
    window: int = DEDUPE_WINDOW
    checks_rows: bool = True
    """Off for the holes of other lines: each must be found by the damage that it does, not by the row counts."""
    expiry_judged_by: Callable[[int, int], int] = min
    """Selects the arrival that expiry uses: that of the oldest frame not yet counted, or of the newest frame."""

    @property
    def store_dies_with_process(self) -> bool:
        return self.processes == 1


EMBEDDED = Components(processes=1, store=EmbeddedStore)
"""Two workers in the one process that owns the data: the second is a zombie, or the first is."""

GUARDED = Components(processes=2, store=GuardedStore, log=KeepingLog)
"""Two processes that share a store: one plain server."""

REPLICATED = Components(processes=2, store=GuardedStore, engine=ReplicatedEngine, log=KeepingLog)
"""Two processes that share a store whose tables are replicated."""
