"""The promises, checked against the store after every step and at the end."""

from collections import Counter
from collections.abc import Hashable

from schemas.flush import Claim, FlushRows, Table
from schemas.meter import Meter
from tests.factories import WINDOW
from tests.simulator.contents import Block, total
from tests.simulator.durable import BlockAdded, BlocksLost, ClaimAdded, DoneAdded, Durable, Entry, SeenDropped
from tests.simulator.expected import Expected, ExpectedRows
from tests.simulator.scenario import Scenario
from tests.simulator.sources import SimulatedLog


class PromiseBroken(AssertionError):
    """A promise does not hold; the message has the number of the invariant and the difference."""


class Checks:
    """Reads the store's journal as it grows, and derives from the posts alone what it may contain."""

    def __init__(
        self, scenario: Scenario, expected: Expected, durable: Durable, log: SimulatedLog, *, checks_rows: bool
    ) -> None:
        self._scenario = scenario
        self._checks_rows = checks_rows
        self._durable = durable
        self._log = log
        self._expected = expected
        self._read = 0
        self.claims: dict[int, Claim] = {}
        self.done: set[int] = set()
        self._there: dict[tuple[Table, object], list[Block]] = {}

    @property
    def counted_up_to(self) -> int:
        """The last offset of a flush that is done."""
        return max((self.claims[number].last for number in self.done), default=-1)

    def state(self) -> Hashable:
        there = frozenset((*place, block.end) for place, blocks in self._there.items() for block in blocks)
        return (tuple(self.claims.values()), frozenset(self.done), there)

    def after_step(self) -> None:
        while self._read < len(self._durable.journal):
            entry = self._durable.journal[self._read]
            self._read += 1
            self._check(entry)
        if self._log.acknowledged > self.counted_up_to:
            raise PromiseBroken(
                f"frame {self._log.acknowledged} is acknowledged, but only up to {self.counted_up_to} are counted"
            )

    def _check(self, entry: Entry) -> None:
        match entry:
            case ClaimAdded(claim):
                self._check_claim(claim)
            case BlockAdded(block):
                self._check_block(block)
            case DoneAdded(number, rows):
                self._check_done(number)
                self._check_rows(number, rows)
            case BlocksLost(lost):
                for block in lost:
                    self._there[block.table, block.origin].remove(block)
            case SeenDropped(arrivals):
                self._check_expiry(arrivals)

    def _check_claim(self, claim: Claim) -> None:
        known = self.claims.setdefault(claim.number, claim)
        if known != claim:
            raise PromiseBroken(f"I1: flush {claim.number} has two claims: {known} and {claim}")
        if claim.number == 0:
            return
        if claim.number - 1 not in self.done:
            raise PromiseBroken(f"I2: flush {claim.number} is claimed, but {claim.number - 1} is not done")
        before = self.claims[claim.number - 1]
        if claim.first != before.last + 1:
            raise PromiseBroken(f"flush {claim.number} starts at {claim.first}, the one before ended at {before.last}")
        if claim.version < before.version:
            raise PromiseBroken(
                f"I6: flush {claim.number} is counted with version {claim.version} after {before.version}"
            )

    def _check_block(self, block: Block) -> None:
        there = self._there.setdefault((block.table, block.origin), [])
        if any(block.end == other.end or not other.end for other in there):
            raise PromiseBroken(f"I4: {block.table} has the rows of {block.origin} twice, or more after its last piece")
        there.append(block)
        if isinstance(block.origin, int):
            self._check_flush_block(block, block.origin)

    def _check_flush_block(self, block: Block, number: int) -> None:
        if number not in self.claims:
            raise PromiseBroken(f"{block.table} has rows of flush {number}, which is not claimed")
        wanted = self._expected.of_flush(self.claims[number])
        found = total(self._there[block.table, number])
        for part in ExpectedRows.__struct_fields__:
            allowed = getattr(wanted, part) if part in PARTS[block.table] else Counter()
            if not getattr(found, part) <= allowed:
                raise PromiseBroken(
                    f"I3: flush {number} put into {block.table} the {part} {getattr(found, part)}, "
                    f"its claim means {allowed}"
                )
        for table in ORDER[: ORDER.index(block.table)]:
            self._must_be_there(table, number, wanted, f"when {block.table} was written")

    def _check_done(self, number: int) -> None:
        self.done.add(number)
        if number not in self.claims:
            raise PromiseBroken(f"flush {number} is done, but not claimed")
        wanted = self._expected.of_flush(self.claims[number])
        for table in ORDER:
            self._must_be_there(table, number, wanted, "when it was marked as done")

    def _check_rows(self, number: int, rows: FlushRows) -> None:
        there = {table: self._there.get((table, number), []) for table in ORDER}
        held = {table: sum(block.rows.num_rows for block in blocks) for table, blocks in there.items()}
        wanted = (held[Table.EVENTS], len(there[Table.USAGE]), held[Table.REJECTS], held[Table.SEEN])
        if self._checks_rows and (rows.events, rows.pieces, rows.rejects, rows.seen) != wanted:
            raise PromiseBroken(f"I8: flush {number} is done with {wanted} rows, and its mark says {rows}")

    def _must_be_there(self, table: Table, number: int, wanted: ExpectedRows, when: str) -> None:
        blocks = self._there.get((table, number), [])
        found = total(blocks)
        lacks_receipt = table is Table.USAGE and not self.claims[number].is_barrier and all(b.end for b in blocks)
        if lacks_receipt or any(getattr(found, part) != getattr(wanted, part) for part in PARTS[table]):
            raise PromiseBroken(f"I5: flush {number} does not have all its rows in {table} {when}")

    def _check_expiry(self, arrivals: tuple[int, ...]) -> None:
        waiting = self._scenario.batches[self.counted_up_to + 1 :]
        needed = [arrival for arrival in arrivals if any(batch.arrival - arrival <= WINDOW for batch in waiting)]
        if needed:
            raise PromiseBroken(f"I7: seen keys of {needed} were dropped, but frames not yet counted may need them")

    def at_the_end(self, meters: tuple[Meter, ...]) -> None:
        """Usage per meter, events, rejects and seen keys are exactly those of the posts."""
        if self.counted_up_to != len(self._scenario.batches) - 1:
            raise PromiseBroken(f"only the frames up to {self.counted_up_to} are counted, and no worker continues")
        wanted = self._expected.in_the_end(meters, self.claims.values())
        contents = total(self._durable.blocks)
        for part in ("events", "usage", "sums", "rejects"):
            found, right = getattr(contents, part), getattr(wanted, part)
            if found != right:
                raise PromiseBroken(f"{part}: lost {right - found}, too many {found - right}")


ORDER = tuple(Table)
PARTS = {
    Table.EVENTS: ("events",),
    Table.USAGE: ("usage", "sums"),
    Table.REJECTS: ("rejects",),
    Table.SEEN: ("seen",),
}
