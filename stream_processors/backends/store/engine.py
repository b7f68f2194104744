"""What a store can do, in its smallest steps. When to do which is policy: see `embedded` and `guarded`.

Every call is a point where the process may die, the reply be lost, or a rival come in between. No call but those whose
names say so checks anything: an insert inserts, a read reads.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec
import pyarrow as pa

from schemas.flush import Claim, FlushProgress, Table
from stream_processors.ports import EventHistory, SeenKeys


class FlushState(msgspec.Struct, frozen=True, kw_only=True):
    """Where one table stands with one flush."""

    applied: bool
    """The flush's rows are in the table itself: this is its receipt."""
    done: bool
    """The flush is done."""


class Engine(SeenKeys, EventHistory, Protocol):
    """Reads of the truth, and inserts under a token.

    A token is remembered per table and table partition (the month of the rows; `flushes` has only one): an insert
    with a remembered token does nothing and says nothing. It may outlive its rows, and may be forgotten before them.
    """

    def exclusive(self, section: int | str) -> AbstractAsyncContextManager[None]:
        """Keeps everyone else in this process out of the section: a partition, or a chunk of a backfill by receipt.

        Left only when the last call made inside has ended, whatever became of its caller.
        """
        ...

    async def highest(self, partition: int) -> Sequence[FlushProgress]:
        """The claims with the highest number there is: normally one, or none."""
        ...

    async def claims_from(self, partition: int, number: int) -> Sequence[FlushProgress]:
        """All claims numbered `number` or higher, one entry per different row stored."""
        ...

    async def is_done(self, partition: int, number: int) -> bool: ...

    async def is_applied(self, table: Table, partition: int, number: int) -> bool:
        """Are the flush's rows in the table?"""
        ...

    async def flush_state(self, table: Table, partition: int, number: int) -> FlushState: ...

    async def has_backfill(self, table: Table, receipt: str) -> bool:
        """Are the rows of this chunk of a backfill in the table?"""
        ...

    async def receipts(self, prefix: str) -> frozenset[str]:
        """The receipts in `usage` that begin like this."""
        ...

    async def insert(self, table: Table, rows: pa.Table, token: str) -> None:
        """As one block: the rows appear whole or not at all."""
        ...

    async def insert_claim(self, claim: Claim, token: str) -> None: ...

    async def insert_done(self, partition: int, number: int, token: str) -> None: ...


class GuardedEngine(Engine, Protocol):
    """A store that several processes write to: the check is part of the insert statement.

    A guard is evaluated when the statement starts; what another statement commits after that, it does not see.
    """

    async def insert_guarded(self, table: Table, partition: int, number: int, rows: pa.Table, token: str) -> None:
        """Nothing where the flush is done, or its receipt is in the table."""
        ...

    async def insert_backfill_guarded(self, table: Table, receipt: str, rows: pa.Table, token: str) -> None:
        """Nothing where the receipt is in the table."""
        ...

    async def insert_claim_guarded(self, claim: Claim, token: str) -> None:
        """Nothing where a claim with this number or a higher one exists."""
        ...

    async def insert_done_guarded(self, partition: int, number: int, token: str) -> None:
        """Nothing where the flush is done."""
        ...

    async def quiesce(self) -> None:
        """Returns when no statement sent before this call can still be running: after its time limit at the latest."""
        ...
