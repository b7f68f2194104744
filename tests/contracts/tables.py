"""The contract of every store for the rows of flushes and backfills: applied once, whole, or not at all."""

import asyncio
from collections.abc import Awaitable, Sequence

import pyarrow as pa
import pytest

from schemas.flush import UNCOUNTED, ApplyOutcome, ApplyResult, Extent, Table
from schemas.tables import CONFLICTS, backfill_receipt, place_of
from tests.contracts.stores import Subject, backfill_piece_of, backfill_rows_of, claim_of, piece_of, rows_of
from tests.factories import ACCOUNT

EVERY_TABLE = pytest.mark.parametrize("table", list(Table))
BACKFILLED = pytest.mark.parametrize("table", [Table.USAGE, Table.REJECTS])
RECEIPT = backfill_receipt("acme_live", "tokens", 0, 3)


async def result_of(applying: Awaitable[ApplyOutcome]) -> ApplyResult:
    return (await applying).result


async def count(subject: Subject, table: Table) -> int:
    return int((await subject.rows(table)).num_rows)


def extent_at(table: Table, through: str, pieces: Sequence[pa.Table]) -> Extent:
    """What the table holds with these pieces, of which the last one ends there."""
    rows = sum(piece.num_rows for piece in pieces) if table is Table.REJECTS else 0
    return Extent(pieces=len(pieces), through=through, rows=rows)


@pytest.mark.anyio
class TablesContract:
    """Subclasses give the fixture `subject`."""

    @EVERY_TABLE
    async def test_rows_are_read_back_as_written(self, subject: Subject, table: Table) -> None:
        """Every column of every row."""
        rows = rows_of(table, ["a", "b", "c"])
        assert await result_of(subject.store.apply(table, 0, 0, rows)) is ApplyResult.WRITTEN
        stored = await subject.rows(table)
        assert sorted(map(str, stored.to_pylist())) == sorted(map(str, rows.to_pylist()))

    @EVERY_TABLE
    async def test_applying_again_changes_nothing(self, subject: Subject, table: Table) -> None:
        """By the same worker, or by another with the same rows."""
        rows = rows_of(table, ["a", "b"])
        await subject.store.apply(table, 0, 0, rows)
        before = await count(subject, table)
        assert await result_of(subject.store.apply(table, 0, 0, rows)) is ApplyResult.ALREADY_THERE
        assert await result_of(subject.rival.apply(table, 0, 0, rows)) is ApplyResult.ALREADY_THERE
        assert await count(subject, table) == before

    @EVERY_TABLE
    async def test_a_done_flush_is_closed(self, subject: Subject, table: Table) -> None:
        """For rows that it has and for rows that it lacks: their worker is late."""
        await subject.store.claim(claim_of())
        await subject.store.finish(0, 0, UNCOUNTED)
        assert await result_of(subject.rival.apply(table, 0, 0, rows_of(table, ["a"]))) is ApplyResult.CLOSED
        assert await count(subject, table) == 0

    async def test_stored_rows_of_a_done_flush_are_closed_too(self, subject: Subject) -> None:
        """A worker whose flush was finished by a rival must boot."""
        rows = rows_of(Table.EVENTS, ["a"])
        await subject.store.apply(Table.EVENTS, 0, 0, rows)
        await subject.store.claim(claim_of())
        await subject.store.finish(0, 0, UNCOUNTED)
        assert await result_of(subject.rival.apply(Table.EVENTS, 0, 0, rows)) is ApplyResult.CLOSED

    @EVERY_TABLE
    async def test_flushes_and_partitions_are_independent(self, subject: Subject, table: Table) -> None:
        """Equal rows of another flush are other rows."""
        for partition, number in [(0, 0), (0, 1), (1, 0), (1, 10)]:
            rows = rows_of(table, ["a"], number=number, partition=partition)
            assert await result_of(subject.store.apply(table, partition, number, rows)) is ApplyResult.WRITTEN
        one = rows_of(table, ["a"]).num_rows
        assert await count(subject, table) == 4 * one

    @EVERY_TABLE
    async def test_rows_lost_after_their_token_was_written_are_written_again(
        self, subject: Subject, table: Table
    ) -> None:
        """A kill can leave the token of an insert without its rows: only the receipt in the table counts."""
        rows = rows_of(table, ["a", "b"])
        await subject.store.apply(table, 0, 0, rows)
        for _ in range(2):
            await subject.lose_rows(table)
            assert await count(subject, table) == 0
            assert await result_of(subject.store.apply(table, 0, 0, rows)) is ApplyResult.WRITTEN
            assert await count(subject, table) == rows.num_rows

    @EVERY_TABLE
    async def test_rows_outlive_their_token(self, subject: Subject, table: Table) -> None:
        """A token leaves its window in the end; the receipt still shows that the rows are stored."""
        rows = rows_of(table, ["a", "b"])
        await subject.store.apply(table, 0, 0, rows)
        await subject.forget_tokens(table)
        assert await result_of(subject.rival.apply(table, 0, 0, rows)) is ApplyResult.ALREADY_THERE
        assert await count(subject, table) == rows.num_rows

    @EVERY_TABLE
    async def test_two_workers_at_once_write_once(self, subject: Subject, table: Table) -> None:
        """A zombie and its successor apply the same flush at the same moment."""
        rows = rows_of(table, ["a", "b"])
        outcomes = await asyncio.gather(
            *(result_of(store.apply(table, 0, 0, rows)) for store in (subject.store, subject.rival) for _ in range(3))
        )
        assert set(outcomes) <= {ApplyResult.WRITTEN, ApplyResult.ALREADY_THERE}
        assert ApplyResult.WRITTEN in outcomes
        assert await count(subject, table) == rows.num_rows

    async def test_a_receipt_of_one_table_says_nothing_of_another(self, subject: Subject) -> None:
        """A redo continues with the first table that lacks the flush's rows."""
        await subject.store.apply(Table.EVENTS, 0, 0, rows_of(Table.EVENTS, ["a"]))
        for table in (Table.USAGE, Table.REJECTS, Table.SEEN):
            assert await result_of(subject.store.apply(table, 0, 0, rows_of(table, ["a"]))) is ApplyResult.WRITTEN

    @BACKFILLED
    async def test_a_chunk_of_a_backfill_is_written_once(self, subject: Subject, table: Table) -> None:
        """By its receipt, for any worker that repeats it."""
        rows = backfill_rows_of(table, RECEIPT)
        assert await result_of(subject.store.apply_backfill(table, RECEIPT, rows)) is ApplyResult.WRITTEN
        assert await result_of(subject.store.apply_backfill(table, RECEIPT, rows)) is ApplyResult.ALREADY_THERE
        await subject.forget_tokens(table)
        assert await result_of(subject.rival.apply_backfill(table, RECEIPT, rows)) is ApplyResult.ALREADY_THERE
        assert await count(subject, table) == rows.num_rows

    @BACKFILLED
    async def test_a_chunk_whose_rows_were_lost_is_written_again(self, subject: Subject, table: Table) -> None:
        """Its token may be stored without them."""
        rows = backfill_rows_of(table, RECEIPT)
        await subject.store.apply_backfill(table, RECEIPT, rows)
        await subject.lose_rows(table)
        assert await result_of(subject.store.apply_backfill(table, RECEIPT, rows)) is ApplyResult.WRITTEN
        assert await count(subject, table) == rows.num_rows

    async def test_rejects_of_a_backfill_are_no_receipt_of_a_flush(self, subject: Subject) -> None:
        """They have the place of an event in an old flush, which may be redone after them."""
        await subject.store.apply_backfill(Table.REJECTS, RECEIPT, backfill_rows_of(Table.REJECTS, RECEIPT))
        rows = rows_of(Table.REJECTS, ["b"])
        assert await result_of(subject.store.apply(Table.REJECTS, 0, 0, rows)) is ApplyResult.WRITTEN

    @BACKFILLED
    async def test_a_flush_comes_in_pieces(self, subject: Subject, table: Table) -> None:
        """Each is applied once, in order, and the table says where the last one ends."""
        for piece, meter in enumerate(["a", "b"]):
            rows = piece_of(table, meter, piece)
            there = extent_at(table, f"{ACCOUNT}/{meter}", [rows] * (piece + 1))
            assert await subject.store.apply(table, 0, 0, rows, piece) == (ApplyResult.WRITTEN, there)
            assert await subject.rival.apply(table, 0, 0, rows, piece) == (ApplyResult.ALREADY_THERE, there)
        rows = piece_of(table, "c", 2, last=True)
        applied = await subject.store.apply(table, 0, 0, rows, 2)
        assert applied.result is ApplyResult.WRITTEN
        assert applied.extent.pieces == 3
        assert applied.extent.whole == (table is Table.USAGE)
        assert await count(subject, table) == 3 * rows.num_rows

    @BACKFILLED
    async def test_the_first_piece_of_a_number_wins(self, subject: Subject, table: Table) -> None:
        """Workers with other limits make other pieces: a late one learns where the stored one ends."""
        mine, other = piece_of(table, "a", 0), piece_of(table, "b", 0)
        await subject.rival.apply(table, 0, 0, other, 0)
        there = extent_at(table, f"{ACCOUNT}/b", [other])
        assert await subject.store.apply(table, 0, 0, mine, 0) == (ApplyResult.ALREADY_THERE, there)
        await subject.forget_tokens(table)
        assert await subject.store.apply(table, 0, 0, mine, 0) == (ApplyResult.ALREADY_THERE, there)
        await subject.store.claim(claim_of())
        await subject.store.finish(0, 0, UNCOUNTED)
        late = await subject.rival.apply(table, 0, 0, piece_of(table, "c", 1), 1)
        assert late.result is ApplyResult.CLOSED
        assert await count(subject, table) == other.num_rows

    @BACKFILLED
    async def test_two_workers_with_other_limits_write_one_piece(self, subject: Subject, table: Table) -> None:
        """At the same moment: one of the two pieces is stored, and both workers learn which."""
        answers = await asyncio.gather(
            subject.store.apply(table, 0, 0, piece_of(table, "a", 0), 0),
            subject.rival.apply(table, 0, 0, piece_of(table, "b", 0), 0),
        )
        assert answers[0].extent == answers[1].extent
        assert await count(subject, table) == piece_of(table, "a", 0).num_rows

    async def test_conflicts_end_before_all_meters(self, subject: Subject) -> None:
        """They are rejects of no meter, of any account."""
        applied = await subject.store.apply(Table.REJECTS, 0, 0, piece_of(Table.REJECTS, "", 0))
        assert place_of(applied.extent.through) == CONFLICTS

    @BACKFILLED
    async def test_a_chunk_comes_in_pieces(self, subject: Subject, table: Table) -> None:
        """Each ends with a flush."""
        for piece, end in enumerate([9, 10]):
            rows = backfill_piece_of(table, RECEIPT, end, piece)
            there = extent_at(table, str(end), [rows] * (piece + 1))
            assert await subject.store.apply_backfill(table, RECEIPT, rows, piece) == (ApplyResult.WRITTEN, there)
            assert await subject.rival.apply_backfill(table, RECEIPT, rows, piece) == (ApplyResult.ALREADY_THERE, there)
            await subject.lose_rows(table)
            assert (await subject.store.apply_backfill(table, RECEIPT, rows, piece)).result is ApplyResult.WRITTEN
        assert await subject.store.receipts(RECEIPT) == frozenset()

    async def test_a_chunk_is_done_with_its_last_piece(self, subject: Subject) -> None:
        """Its receipt appears then."""
        for piece, last in enumerate([False, True]):
            assert await subject.store.receipts(RECEIPT) == frozenset()
            rows = backfill_piece_of(Table.USAGE, RECEIPT, 9, piece, last=last)
            applied = await subject.store.apply_backfill(Table.USAGE, RECEIPT, rows, piece)
            assert applied.extent.whole == last
        assert await subject.store.receipts(RECEIPT) == {RECEIPT}

    async def test_receipts_of_backfills_are_found_by_prefix(self, subject: Subject) -> None:
        """One per chunk, without the receipts of other meters and of flushes."""
        receipts = [
            backfill_receipt("acme_live", meter, 0, chunk) for meter in ("tokens", "tokens2") for chunk in (0, 1)
        ]
        for receipt in receipts:
            await subject.store.apply_backfill(Table.USAGE, receipt, backfill_rows_of(Table.USAGE, receipt))
        await subject.store.apply(Table.USAGE, 0, 0, rows_of(Table.USAGE, ["a"]))
        assert await subject.store.receipts("backfill/acme_live/tokens/") == frozenset(receipts[:2])
        assert await subject.store.receipts("backfill/nobody/") == frozenset()

    async def test_events_are_read_back_by_flush(self, subject: Subject) -> None:
        """A range of flush numbers, both ends included, in order of arrival, column for column."""
        for number in (2, 0, 1, 3):
            rows = rows_of(Table.EVENTS, ["a", "b"], number=number)
            await subject.store.apply(Table.EVENTS, 0, number, rows)
        await subject.store.apply(Table.EVENTS, 1, 1, rows_of(Table.EVENTS, ["c"], number=1, partition=1))
        read = [
            row for chunk in [chunk async for chunk in subject.store.read_events(0, 1, 2)] for row in chunk.to_pylist()
        ]
        assert read == [
            row for number in (1, 2) for row in rows_of(Table.EVENTS, ["a", "b"], number=number).to_pylist()
        ]
        assert [chunk async for chunk in subject.store.read_events(0, 7, 9)] == []
