"""The real code with one protection disabled at a time: each mutant must make the simulator fail.

Each docstring starts with the hole of the flush protocol that the protection closes.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager

import msgspec
import pyarrow as pa

from schemas.flush import NOTHING, ApplyOutcome, ApplyResult, Claim, Extent, FlushRows, SeenRows, Table
from schemas.tables import extent_with
from stream_processors.backends.store.embedded import EmbeddedStore
from stream_processors.backends.store.engine import KnownFlush
from stream_processors.backends.store.guarded import GuardedStore
from stream_processors.backends.store.keyed_locks import SectionMemory
from stream_processors.backends.store.write_once import done_token, rows_token
from tests.simulator.durable import Durable
from tests.simulator.engine import FaultyEngine
from tests.simulator.reader import Reader, ReceiptReader
from tests.simulator.sources import SimulatedLog
from tests.simulator.statements import RunningStatement

EVERYTHING = 1 << 40
FIRST_VERSION = 1
WHOLE = Extent(pieces=1, whole=True)

# The store.


class TrustsTokens(EmbeddedStore):
    """H1: a confirmed insert is taken for stored rows."""

    async def _insert_until(
        self, applied: Callable[[], Awaitable[bool]], insert: Callable[[int], Awaitable[None]]
    ) -> None:
        del applied
        await insert(0)


class TokensAlone(EmbeddedStore):
    """H2: no receipt is checked; only a token prevents a second insert."""

    async def apply(
        self,
        table: Table,
        partition: int,
        number: int,
        rows: pa.Table,
        piece: int = 0,
        after: Collection[Table] = (),
    ) -> ApplyOutcome:
        del after
        await self._engine.insert(table, rows, rows_token(table, partition, number, piece, 0))
        return ApplyOutcome(ApplyResult.WRITTEN, await self._engine.extent(table, partition, number))


class NoSection(FaultyEngine):
    """H3: no lock keeps a zombie of the same process out between a check and its insert."""

    @asynccontextmanager
    async def exclusive(self, section: int | str) -> AsyncIterator[SectionMemory[KnownFlush]]:
        del section
        yield SectionMemory()


class KnowsDespiteErrors(FaultyEngine):
    """Memory: after an error the process still relies on what it knew before."""

    def doubt(self, memory: SectionMemory[KnownFlush]) -> None:
        del memory


class KnowsFromTheStart(EmbeddedStore):
    """Memory: a process trusts what it reads at its start, although tokens of another one may be stored."""

    async def claim(self, claim: Claim) -> None:
        async with self._engine.exclusive(claim.partition) as memory:
            if memory.known is None and not await self._engine.claims_from(claim.partition, claim.number):
                before = msgspec.structs.replace(claim, number=claim.number - 1)
                memory.known = KnownFlush(claim=before, done=True)
        await super().claim(claim)


class ClientChecks(GuardedStore):
    """H3: the client checks receipt and done, and then inserts without a condition."""

    async def apply(
        self,
        table: Table,
        partition: int,
        number: int,
        rows: pa.Table,
        piece: int = 0,
        after: Collection[Table] = (),
    ) -> ApplyOutcome:
        del after
        flush_state = await self._engine.flush_state(table, partition, number)
        if flush_state.done:
            return ApplyOutcome(ApplyResult.CLOSED, flush_state.extent)
        if flush_state.extent.pieces <= piece:
            await self._engine.insert(table, rows, rows_token(table, partition, number, piece, 0))
        return ApplyOutcome(ApplyResult.WRITTEN, await self._engine.extent(table, partition, number))


class UnguardedStatements(FaultyEngine):
    """H3: a late statement inserts, whatever happened in the meantime."""

    async def _send(self, statement: RunningStatement) -> None:
        statement.guard = lambda: True
        await super()._send(statement)


class HastyRepeats(FaultyEngine):
    """H1: missing rows are inserted under a new token while an earlier statement may still commit them."""

    async def quiesce(self) -> None:
        """Returns at once."""


class ForgetfulEvents(EmbeddedStore):
    """H9: the look-up in `events` finds the rows of the same flush."""

    async def find_events(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        del below
        return await super().find_events(partition, EVERYTHING, key_hashes)


class ActiveAtWatermark(EmbeddedStore):
    """H7: a backfill ends at the watermark instead of the first flush claimed with the meter."""

    async def activation(self, partition: int, version: int) -> int | None:
        progress = await self.progress(partition)
        if version == FIRST_VERSION or progress is None:
            return await super().activation(partition, version)
        return progress.claim.number + progress.done


class LooseRejects(EmbeddedStore):
    """H17: rejects are written without a receipt, under a token alone."""

    async def apply(
        self,
        table: Table,
        partition: int,
        number: int,
        rows: pa.Table,
        piece: int = 0,
        after: Collection[Table] = (),
    ) -> ApplyOutcome:
        if table is not Table.REJECTS:
            return await super().apply(table, partition, number, rows, piece, after)
        await self._engine.insert(table, rows, f"{id(rows)} {self._engine_time()}")
        return ApplyOutcome(ApplyResult.WRITTEN, await self._engine.extent(table, partition, number))

    def _engine_time(self) -> int:
        assert isinstance(self._engine, FaultyEngine)
        return len(self._engine.durable.journal)


class UnsyncedUsage(FaultyEngine):
    """H13: `usage` is not fsynced, `flushes` is."""

    def new_durable(self) -> Durable:
        return Durable(unsynced_tables=frozenset({Table.USAGE}))


class FlushesByTime(FaultyEngine):
    """H15: `flushes` is partitioned by time, so two claims do not share the table partition of the token."""

    async def insert_claim_guarded(self, claim: Claim, token: str) -> None:
        await super().insert_claim_guarded(claim, f"{token} in month {self._running_process()}")


class NamedByContent(GuardedStore):
    """P1: a piece's token names its rows and not its number, so two rivals' pieces of one number are both inserted."""

    async def apply(
        self,
        table: Table,
        partition: int,
        number: int,
        rows: pa.Table,
        piece: int = 0,
        after: Collection[Table] = (),
    ) -> ApplyOutcome:
        del after
        flush_state = await self._engine.flush_state(table, partition, number)
        if flush_state.done:
            return ApplyOutcome(ApplyResult.CLOSED, flush_state.extent)
        token = f"{rows_token(table, partition, number, piece, 0)} of {rows.num_rows} rows"
        await self._engine.insert_guarded(table, partition, number, piece, rows, token)
        return ApplyOutcome(ApplyResult.WRITTEN, await self._engine.extent(table, partition, number))


class DoneWithoutRows(FaultyEngine):
    """F1: a flush is marked as done without the condition that its rows are there, which no worker has looked for."""

    async def insert_done_guarded(self, partition: int, number: int, rows: FlushRows, token: str) -> None:
        del partition
        await self._send(
            RunningStatement(
                label=token,
                guard=lambda: number not in self.durable.done,
                effect=lambda: self.durable.insert_done(number, rows, token),
                durable=self.durable,
            )
        )


class AnyNumberOfPieces(FaultyEngine):
    """Rows: a flush is marked as done with the number of pieces that its worker sent, whatever a rival has written."""

    async def insert_done_guarded(self, partition: int, number: int, rows: FlushRows, token: str) -> None:
        del partition
        await self._send(
            RunningStatement(
                label=token,
                guard=lambda: number not in self.durable.done and self._holds(number, rows.tables),
                effect=lambda: self.durable.insert_done(number, rows, token),
                durable=self.durable,
            )
        )


class OutOfOrder(FaultyEngine):
    """F2: rows are inserted without the condition that those of the tables before are there."""

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
        del after
        await super().insert_guarded(table, partition, number, piece, rows, token)


class NeverLooks(GuardedStore):
    """F3: a flush whose every statement was answered is taken for done."""

    async def finish(self, partition: int, number: int, rows: FlushRows) -> None:
        if self._first_attempts.get(partition, (None,))[0] == number:
            await self._engine.insert_done_guarded(partition, number, rows, done_token(partition, number, 0))
        else:
            await super().finish(partition, number, rows)


class AssumesOwnPieces(GuardedStore):
    """F4: a piece of several is taken for written as it was sent, although a rival may have ended its own elsewhere."""

    async def _insert_first(
        self, table: Table, partition: int, number: int, rows: pa.Table, piece: int, after: Collection[Table]
    ) -> Extent:
        token = rows_token(table, partition, number, piece, 0)
        await self._engine.insert_guarded(table, partition, number, piece, rows, token, after)
        return extent_with(table, msgspec.structs.replace(NOTHING, pieces=piece), rows)


class LastPieceIsReceipt(FaultyEngine):
    """P2: a late piece is refused only when the last one is there."""

    def _lacks(self, table: Table, origin: int | str, piece: int) -> bool:
        del piece
        extent = self.durable.extent(table, origin)
        return not (extent.whole or (table is Table.REJECTS and extent.pieces))


class FirstPieceIsReceipt(EmbeddedStore):
    """P3: a table with one piece of a flush is taken for complete."""

    async def apply(
        self,
        table: Table,
        partition: int,
        number: int,
        rows: pa.Table,
        piece: int = 0,
        after: Collection[Table] = (),
    ) -> ApplyOutcome:
        applied = await super().apply(table, partition, number, rows, piece, after)
        return applied._replace(extent=msgspec.structs.replace(applied.extent, whole=True))


# The others.


class LooksNoFurther(Reader):
    """H16: usage is taken as that of the watermark, without a check for events beyond it."""

    def has_events_beyond(self, watermark: int) -> bool:
        del watermark
        return False


class TakesAnyReceipt(ReceiptReader):
    """P5: a receipt of a flush is taken for the rows of all of its meters."""

    def is_covered(self, end: str) -> bool:
        del end
        return True


class CutLog(SimulatedLog):
    """For H22: retention has deleted the first frame before it was read."""

    first_held = 1
