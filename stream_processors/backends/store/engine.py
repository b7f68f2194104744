"""The smallest steps a usage store offers. Their order is policy: see `embedded` and `guarded`.

At every call the process may crash, the reply may be lost, or a rival may run in between. Only calls named `guarded`
check anything: every other insert inserts, and a read reads.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec
import pyarrow as pa

from schemas.flush import Claim, Extent, FlushProgress, FlushRows, Table
from stream_processors.backends.store.keyed_locks import SectionMemory
from stream_processors.ports import EventHistory, SeenKeys


class FlushState(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of one flush in one table."""

    extent: Extent
    """How much of the flush is in the table itself: the rows are their own receipt."""
    done: bool


class KnownFlush(msgspec.Struct, frozen=True, kw_only=True):
    """The newest flush of a partition that this process owns: every statement of it was sent and answered here."""

    claim: Claim
    done: bool = False
    extents: Mapping[Table, Extent] = {}
    """The tables with rows of it."""


class Engine(SeenKeys, EventHistory, Protocol):
    """Reads of the stored rows, and inserts under a token.

    The store remembers a token per table and table partition (the month of the rows; `flushes` has only one): an insert
    with a remembered token does nothing and reports nothing. A token may outlive its rows, and may expire before them.
    """

    def exclusive(self, section: int | str) -> AbstractAsyncContextManager[SectionMemory[KnownFlush]]:
        """Locks the section (a partition, or the receipt of a backfill chunk) within this process.

        The lock is released only when the last call made under it has ended, even if its caller was cancelled. The
        memory is that of all holders in this process; it is empty after an error.
        """
        ...

    async def highest(self, partition: int) -> Sequence[FlushProgress]:
        """The claims with the highest number: normally one, or none."""
        ...

    async def claims_from(self, partition: int, number: int) -> Sequence[FlushProgress]:
        """All claims numbered `number` or higher, one entry per distinct row."""
        ...

    async def is_done(self, partition: int, number: int) -> bool: ...

    async def extent(self, table: Table, partition: int, number: int) -> Extent:
        """How much of the flush the table holds."""
        ...

    async def flush_state(self, table: Table, partition: int, number: int) -> FlushState: ...

    async def backfill_extent(self, table: Table, receipt: str) -> Extent:
        """How much of this backfill chunk the table holds."""
        ...

    async def damage(self, partition: int) -> Sequence[str]:
        """What is missing or broken of the partition's flushes, each as the end of a sentence."""
        ...

    async def receipts(self, prefix: str) -> frozenset[str]:
        """The receipts in `usage` that begin with `prefix`, of chunks of which no piece is missing."""
        ...

    async def insert(self, table: Table, rows: pa.Table, token: str) -> None:
        """Inserts the rows as one block: they become visible together or not at all."""
        ...

    async def insert_claim(self, claim: Claim, token: str) -> None: ...

    async def insert_done(self, partition: int, number: int, rows: FlushRows, token: str) -> None: ...


class GuardedEngine(Engine, Protocol):
    """A store that several processes write to: the check is part of the insert statement.

    A guard is evaluated when the statement starts; it does not see what another statement commits after that.
    """

    async def holds(self, partition: int, number: int, tables: Collection[Table]) -> bool:
        """Whether each of the tables holds rows of the flush, and `usage` all of them."""
        ...

    async def insert_guarded(
        self,
        table: Table,
        partition: int,
        number: int,
        piece: int,
        rows: pa.Table,
        token: str,
        after: Collection[Table] = (),
    ) -> None:
        """Inserts if the tables `after` hold the flush, unless it is done or its piece of this number is there."""
        ...

    async def insert_backfill_guarded(self, table: Table, receipt: str, piece: int, rows: pa.Table, token: str) -> None:
        """Inserts unless the chunk's piece of this number is in the table."""
        ...

    async def insert_claim_guarded(self, claim: Claim, token: str) -> None:
        """Inserts unless a claim with this number or a higher one exists."""
        ...

    async def insert_done_guarded(self, partition: int, number: int, rows: FlushRows, token: str) -> None:
        """Inserts if the tables hold the flush, `usage` in as many pieces as `rows` says, unless it is done."""
        ...

    async def quiesce(self) -> None:
        """Returns when no statement sent before this call is still running: at the latest after its time limit."""
        ...
