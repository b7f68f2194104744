"""The engine port over `Durable`, where every call may fail, lose its reply, be half done, or be late."""

from collections.abc import AsyncIterator, Callable, Collection, Hashable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import pyarrow as pa

from schemas.errors import StoreFailed
from schemas.flush import Claim, Extent, FlushProgress, FlushRows, SeenRows, Table
from schemas.hashing import KeyHashes, as_halves
from stream_processors.backends.store.engine import FlushState, KnownFlush
from stream_processors.backends.store.keyed_locks import SectionMemory
from tests.simulator.durable import Durable, SeenRow
from tests.simulator.faults import READ, WRITE, CallOutcome
from tests.simulator.scheduler import PortCall
from tests.simulator.sources import Learner
from tests.simulator.statements import ENDED, RunningStatement, Statements, StatementState

_Answer = TypeVar("_Answer", bound=Hashable)


class FaultyEngine:
    """The store as all processes see it. The scheduler decides on a fault for each call."""

    def __init__(self, learn: Learner, running_process: Callable[[], int]) -> None:
        self.durable = self.new_durable()
        self.statements = Statements()
        self._learn = learn
        self._running_process = running_process
        self._holders: dict[tuple[int, int | str], object] = {}
        """Exclusive sections by process and partition: they live in memory and die with it."""
        self._memories: dict[tuple[int, int | str], SectionMemory[KnownFlush]] = {}

    def new_durable(self) -> Durable:
        """Everything is on disk when an insert returns: fsync_after_insert and fsync_part_directory."""
        return Durable()

    def state(self) -> Hashable:
        known = frozenset((place, _content(memory.known)) for place, memory in self._memories.items())
        return (self.durable.state(), self.statements.state(), tuple(self._holders), known)

    # Faults.

    @property
    def can_forget(self) -> bool:
        """True if no statement that the store is running needs the tokens; one still on the way may miss them."""
        return bool(self.durable.tokens) and not self.statements.running

    def forget_tokens(self) -> None:
        self.durable.tokens.clear()

    def die_committing(self, statement: RunningStatement) -> None:
        """Kills the store in the middle of the statement; all other running statements fail."""
        self.durable.keep_token_of(statement.effect)
        self.statements.all_fail()

    def power_cut(self) -> None:
        """Running statements fail, and everything not on disk is deleted."""
        self.statements.all_fail()
        self.durable.power_cut()

    def process_died(self, process: int) -> None:
        """Its locks are released; its statements continue."""
        self._holders = {key: holder for key, holder in self._holders.items() if key[0] != process}
        self._memories = {key: memory for key, memory in self._memories.items() if key[0] != process}

    # Reads.

    async def highest(self, partition: int) -> Sequence[FlushProgress]:
        del partition
        return await self._read("highest claim", lambda: self._progress(max(self._numbers(), default=0)))

    async def claims_from(self, partition: int, number: int) -> Sequence[FlushProgress]:
        del partition
        return await self._read(f"claims from {number}", lambda: self._progress(number))

    async def is_done(self, partition: int, number: int) -> bool:
        del partition
        return await self._read(f"is {number} done", lambda: number in self.durable.done)

    async def extent(self, table: Table, partition: int, number: int) -> Extent:
        del partition
        return await self._read(f"extent of {number} in {table}", lambda: self.durable.extent(table, number))

    async def flush_state(self, table: Table, partition: int, number: int) -> FlushState:
        del partition
        return await self._read(f"standing of {table} {number}", lambda: self._flush_state(table, number))

    async def backfill_extent(self, table: Table, receipt: str) -> Extent:
        return await self._read(f"extent of {receipt} in {table}", lambda: self.durable.extent(table, receipt))

    async def damage(self, partition: int) -> Sequence[str]:
        del partition
        return ()

    async def receipts(self, prefix: str) -> frozenset[str]:
        return await self._read(f"receipts {prefix}", lambda: self._receipts(prefix))

    async def find(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        del partition
        rows = await self._read(f"find in seen below {below}", lambda: tuple(self.durable.seen(below)))
        return _latest(rows, key_hashes)

    async def find_events(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        del partition
        rows = await self._read(f"find in events below {below}", lambda: tuple(self.durable.events(below)))
        return _latest(rows, key_hashes)

    async def count(self, partition: int, below: int) -> int:
        """Not a call that the scheduler interleaves: it only sizes a filter."""
        del partition
        return len(tuple(self.durable.seen(below)))

    async def all_hashes(self, partition: int, below: int) -> AsyncIterator[KeyHashes]:
        del partition
        rows = await self._read(f"all hashes below {below}", lambda: tuple(self.durable.seen(below)))
        yield as_halves(b"".join(row[1] for row in rows))

    async def activation(self, partition: int, version: int) -> int | None:
        del partition
        return await self._read(f"activation of {version}", lambda: self._activation(version))

    async def read_events(self, partition: int, first_number: int, last_number: int) -> AsyncIterator[pa.Table]:
        del partition
        numbers = range(first_number, last_number + 1)
        await self._read(f"events of {first_number} to {last_number}", lambda: None)
        for block in [block for block in self.durable.of(Table.EVENTS) if block.origin in numbers]:
            yield block.rows

    # Inserts of one process that owns the data.

    @asynccontextmanager
    async def exclusive(self, section: int | str) -> AsyncIterator[SectionMemory[KnownFlush]]:
        place, me = (self._running_process(), section), object()
        await PortCall("enter", ready=lambda: place not in self._holders)
        self._holders[place] = me
        memory = self._memories.setdefault(place, SectionMemory())
        self._learn(_content(memory.known))
        try:
            yield memory
        except Exception:
            self.doubt(memory)
            raise
        finally:
            if self._holders.get(place) is me:
                del self._holders[place]

    def doubt(self, memory: SectionMemory[KnownFlush]) -> None:
        memory.known = None

    async def insert(self, table: Table, rows: pa.Table, token: str) -> None:
        await self._write(f"insert {token}", lambda: self.durable.insert(table, rows, token))

    async def insert_claim(self, claim: Claim, token: str) -> None:
        await self._write(f"insert {token} {_short(claim)}", lambda: self.durable.insert_claim(claim, token))

    async def insert_done(self, partition: int, number: int, rows: FlushRows, token: str) -> None:
        del partition
        await self._write(f"insert {token}", lambda: self.durable.insert_done(number, rows, token))

    # Inserts that many processes send to one store.

    async def holds(self, partition: int, number: int, tables: Collection[Table]) -> bool:
        del partition
        named = ", ".join(tables)
        return await self._read(f"are {named} of {number} there", lambda: self._holds(number, tables))

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
        del partition
        before = tuple(after)
        await self._send(
            RunningStatement(
                label=token,
                guard=lambda: (
                    number not in self.durable.done
                    and self._lacks(table, number, piece)
                    and self._holds(number, before)
                ),
                effect=lambda: self.durable.insert(table, rows, token),
                durable=self.durable,
            )
        )

    async def insert_backfill_guarded(self, table: Table, receipt: str, piece: int, rows: pa.Table, token: str) -> None:
        await self._send(
            RunningStatement(
                label=token,
                guard=lambda: self._lacks(table, receipt, piece),
                effect=lambda: self.durable.insert(table, rows, token),
                durable=self.durable,
            )
        )

    async def insert_claim_guarded(self, claim: Claim, token: str) -> None:
        await self._send(
            RunningStatement(
                label=f"{token} {_short(claim)}",
                guard=lambda: not self._progress(claim.number),
                effect=lambda: self.durable.insert_claim(claim, token),
                durable=self.durable,
            )
        )

    async def insert_done_guarded(self, partition: int, number: int, rows: FlushRows, token: str) -> None:
        del partition
        await self._send(
            RunningStatement(
                label=token,
                guard=lambda: (
                    number not in self.durable.done
                    and self._holds(number, rows.tables)
                    and (not rows.pieces or self.durable.extent(Table.USAGE, number).pieces == rows.pieces)
                ),
                effect=lambda: self.durable.insert_done(number, rows, token),
                durable=self.durable,
            )
        )

    async def quiesce(self) -> None:
        """Waits for the statements running now, not for later ones."""
        now = list(self.statements.running)
        await PortCall("quiesce", ready=lambda: all(statement.stage in ENDED for statement in now))

    # Calls.

    async def _read(self, name: str, answer: Callable[[], _Answer]) -> _Answer:
        if await PortCall(name, READ) is CallOutcome.FAILS:
            self._fail(name)
        found = answer()
        self._learn(found)
        return found

    async def _write(self, name: str, effect: Callable[[], None]) -> None:
        outcome = await PortCall(name, (*WRITE, CallOutcome.TOKEN_ONLY))
        if outcome is CallOutcome.TOKEN_ONLY:
            self.durable.lose_rows_of(effect)
        elif outcome is not CallOutcome.FAILS:
            effect()
        if outcome is not CallOutcome.OK:
            self._fail(name)
        self._learn("written")

    async def _send(self, statement: RunningStatement) -> None:
        """The store runs a statement on its own, whatever happens to the client."""
        outcome = await PortCall(f"send {statement.label}", (CallOutcome.OK, CallOutcome.FAILS, CallOutcome.LATE))
        if outcome is not CallOutcome.FAILS:
            self.statements.take(statement, at_once=outcome is CallOutcome.OK)
        if outcome is not CallOutcome.OK:
            self._fail(statement.label)
        outcome = await PortCall(
            f"reply to {statement.label}",
            (CallOutcome.OK, CallOutcome.REPLY_LOST),
            ready=lambda: statement.stage in ENDED,
            at_store=True,
        )
        if outcome is not CallOutcome.OK or statement.stage is StatementState.FAILED:
            self._fail(statement.label)
        self._learn("sent")

    def _fail(self, name: str) -> None:
        self._learn("failed")
        raise StoreFailed(f"{name}: no answer from the store")

    # Results.

    def _numbers(self) -> list[int]:
        return [claim.number for claim in self.durable.claims]

    def _progress(self, number: int) -> tuple[FlushProgress, ...]:
        claims = dict.fromkeys(claim for claim in self.durable.claims if claim.number >= number)
        return tuple(FlushProgress(claim=claim, done=claim.number in self.durable.done) for claim in claims)

    def _flush_state(self, table: Table, number: int) -> FlushState:
        return FlushState(extent=self.durable.extent(table, number), done=number in self.durable.done)

    def _lacks(self, table: Table, origin: int | str, piece: int) -> bool:
        return self.durable.extent(table, origin).pieces <= piece

    def _holds(self, number: int, tables: Collection[Table]) -> bool:
        extents = [(table, self.durable.extent(table, number)) for table in tables]
        return all(extent.whole or (table is Table.REJECTS and extent.pieces > 0) for table, extent in extents)

    def _receipts(self, prefix: str) -> frozenset[str]:
        origins = (str(block.origin) for block in self.durable.of(Table.USAGE) if not block.end)
        return frozenset(origin for origin in origins if origin.startswith(prefix))

    def _activation(self, version: int) -> int | None:
        return min((claim.number for claim in self.durable.claims if claim.version >= version), default=None)


class ReplicatedEngine(FaultyEngine):
    """Token and rows commit together, on a majority of the replicas: neither exists without the other."""

    async def quiesce(self) -> None:
        self._fail("quiesce")


def _latest(rows: Sequence[SeenRow], key_hashes: Sequence[bytes]) -> SeenRows:
    found: dict[bytes, SeenRow] = {}
    for row in rows:
        if row[1] in key_hashes and (row[1] not in found or found[row[1]][3] < row[3]):
            found[row[1]] = row
    return SeenRows(list(found), [row[2] for row in found.values()], [row[3] for row in found.values()])


def _content(known: KnownFlush | None) -> Hashable:
    return known and (known.claim, known.done, frozenset(known.extents.items()))


def _short(claim: Claim) -> str:
    return f"(frames {claim.first}..{claim.last}, meters {claim.version})"
