"""The planned rows equal the oracle's, however the frames are cut into flushes."""

import random
from collections.abc import Sequence
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.event import EventFlag, RejectCode, Verdict
from schemas.flush import NOTHING, Table
from schemas.meter import Meter
from schemas.tables import LAYOUTS, flush_receipt, reject_id
from schemas.timestamps import DAY, MINUTE
from stream_processors.core.flush_plan import PLACED, FlushPlan, PieceBounds, assemble, plan_flush
from tests import oracle
from tests.factories import (
    NOTHING_KNOWN,
    NOW,
    WINDOW,
    Event,
    make_claim,
    make_event,
    make_frame,
    make_meter,
    make_meter_set,
    make_replay,
)
from tests.strategies import batches, cuts, meter_lists
from tests.stream_processors.core.flush_sequence import FlushSequence, as_frames
from tests.stream_processors.core.planned_rows import extent_after, pieces_of, planned_rows


@given(batches(odd=False))
def test_every_event_keeps_its_place(posted: list[tuple[int, list[Event]]]) -> None:
    """Offset, place in the frame and arrival are added to the posted columns; one chunk per column."""
    frames = [make_frame(events, offset=2 * number, arrival=arrival) for number, (arrival, events) in enumerate(posted)]
    table = assemble(frames)
    expected = [
        (event.idempotency_key, event.properties, 2 * number, place, arrival)
        for number, (arrival, events) in enumerate(posted)
        for place, event in enumerate(events)
    ]
    columns = ("idempotency_key", "properties", "offset", "place", "arrival")
    assert list(zip(*(table[name].to_pylist() for name in columns), strict=True)) == expected
    assert table.schema == PLACED
    assert all(column.num_chunks <= 1 for column in table.columns)


def test_a_frame_without_events_adds_none() -> None:
    """Places count from the start of each frame in any case."""
    table = assemble([make_frame([], offset=4), make_frame([make_event("k")], offset=5, arrival=NOW + 1)])
    assert table.select(["offset", "place", "arrival"]).to_pylist() == [{"offset": 5, "place": 0, "arrival": NOW + 1}]


Posted = list[tuple[int, list[Event]]]


def flushed(posted: Posted, meters: tuple[Meter, ...], ends: list[int]) -> FlushSequence:
    frames = as_frames(posted)
    flushes = FlushSequence(meters)
    for start, end in zip([0, *ends], ends, strict=False):
        flushes.flush(frames[start:end])
    return flushes


@given(batches().filter(bool), meter_lists(), st.data())
def test_any_cut_into_flushes_gives_the_rows_of_the_oracle(
    posted: Posted, meters: tuple[Meter, ...], data: st.DataObject
) -> None:
    """Usage, events, conflicts and refused values depend only on the posted events."""
    flushes = flushed(posted, meters, list(data.draw(cuts(len(posted)))))
    events = [event for _, batch in posted for event in batch]
    arrivals = [arrival for arrival, batch in posted for _ in batch]
    verdicts = oracle.verdicts(events, arrivals)
    accepted = [event for event, verdict in zip(events, verdicts, strict=True) if verdict is Verdict.ACCEPTED]
    usage, refusals = oracle.usage(accepted, meters)
    assert oracle.usage_of_rows(flushes.usage, meters) == usage
    assert [row["idempotency_key"] for row in flushes.events] == [event.idempotency_key for event in accepted]
    expected = sorted((accepted[place].idempotency_key, meter, code.value) for place, meter, code in refusals)
    expected += [(e.idempotency_key, "", "") for e, v in zip(events, verdicts, strict=True) if v is Verdict.CONFLICT]
    rejects = [(row["idempotency_key"], row["meter"], row["code"] if row["meter"] else "") for row in flushes.rejects]
    assert sorted(rejects) == sorted(expected)


@given(batches().filter(bool), meter_lists(), st.randoms(use_true_random=False))
def test_a_redo_makes_the_very_same_blocks(posted: Posted, meters: tuple[Meter, ...], shuffler: random.Random) -> None:
    """The same rows in the same order, one chunk per column, for any order of the meters."""
    events = assemble(as_frames(posted))
    claim = make_claim(7, 0, 3 * len(posted))
    shuffled = shuffler.sample(meters, len(meters))
    once = planned_rows(plan_flush(claim, events, NOTHING_KNOWN, make_meter_set(*meters), WINDOW))
    again = planned_rows(plan_flush(claim, events, NOTHING_KNOWN, make_meter_set(*shuffled), WINDOW))
    for (table, block), (_, other) in zip(once.in_order(), again.in_order(), strict=True):
        assert block.schema == LAYOUTS[table]
        assert block.equals(other)
        assert all(column.num_chunks <= 1 for column in block.columns)
        block.validate(full=True)


BOUNDS = st.builds(PieceBounds, rows=st.integers(1, 30), size=st.integers(1, 20_000))


@given(batches().filter(bool), meter_lists(), BOUNDS, BOUNDS, st.integers(0, 20))
def test_pieces_of_any_bounds_make_the_same_rows(
    posted: Posted, meters: tuple[Meter, ...], bounds: PieceBounds, others: PieceBounds, taken: int
) -> None:
    """Also if a worker with other bounds continues after any piece. Only a single meter exceeds the bounds."""
    events, claim = assemble(as_frames(posted)), make_claim(7, 0, 3 * len(posted))

    def planned(limits: PieceBounds | None) -> FlushPlan:
        return plan_flush(claim, events, NOTHING_KNOWN, make_meter_set(*meters), WINDOW, limits)

    whole = planned_rows(planned(None))
    for table, block in whole.in_order():
        extent, pieces = NOTHING, []
        for piece in pieces_of(planned(bounds), table)[:taken]:
            pieces.append(piece)
            extent = extent_after(extent, table, piece)
        pieces += pieces_of(planned(others), table, extent)
        assert contents(pieces) == contents([block])
        for piece in pieces:
            many = {row["meter"] for row in piece.to_pylist()} if table in (Table.USAGE, Table.REJECTS) else set()
            assert len(many - {""}) <= 1 or piece.num_rows <= 1 + max(bounds.rows, others.rows)


def contents(pieces: Sequence[pa.Table]) -> list[str]:
    """The rows without their receipts and the numbers of their pieces."""
    rows = (row for piece in pieces for row in piece.to_pylist())
    return sorted(str({**row, "piece": None}) for row in rows if row.get("account") or "account" not in row)


def test_every_flush_but_a_barrier_has_a_receipt() -> None:
    """Also a flush that counts nothing; a barrier flush writes nothing."""
    events = assemble([make_frame([make_event("k")], arrival=NOW)])
    rows = planned_rows(plan_flush(make_claim(4, partition=9), events, NOTHING_KNOWN, make_meter_set(), WINDOW))
    assert rows.usage.select(["account", "meter", "customer_id", "count", "month"]).to_pylist() == [
        {"account": "", "meter": "", "customer_id": flush_receipt(9, 4), "count": 0, "month": 202611}
    ]
    barrier = planned_rows(
        plan_flush(make_claim(5, 1, 0), assemble(()), NOTHING_KNOWN, make_meter_set(make_meter()), WINDOW)
    )
    assert [block.num_rows for _, block in barrier.in_order()] == [0, 0, 0, 0]
    assert len(barrier.new_hashes) == 0


def test_a_conflict_is_stored_whole() -> None:
    """The conflicting event is a reject with its own content, and no event."""
    frame = make_frame([make_event("k", {"a": 1}), make_event("k", {"a": 2}, customer_id="other")], offset=5)
    rows = planned_rows(plan_flush(make_claim(2, 5, 5), assemble([frame]), NOTHING_KNOWN, make_meter_set(), WINDOW))
    reject = rows.rejects.to_pylist()[0]
    assert (reject["p"], reject["n"], reject["offset"], reject["place"], reject["meter"]) == (0, 2, 5, 1, "")
    assert (reject["code"], reject["customer_id"]) == (RejectCode.CONFLICT, "other")
    assert reject["properties"] == '{"a":2}'
    assert [row["properties"] for row in rows.events.to_pylist()] == ['{"a":1}']
    assert (rows.counts.accepted, rows.counts.duplicates, rows.counts.conflicts) == (1, 0, 1)
    assert rows.counts.rejects == {"IDEMPOTENCY_CONFLICT": 1}


def test_all_rows_carry_the_month_of_the_first_frame() -> None:
    """A flush's rows in a table are one part, also at midnight at the end of a month."""
    last_of_october = 1_793_491_199 * 1_000_000
    frames = [
        make_frame([make_event("a", {"tokens": "x"})], offset=0, arrival=last_of_october),
        make_frame([make_event("b", {"tokens": "x"})], offset=1, arrival=last_of_october + MINUTE),
    ]
    meters = make_meter_set(make_meter(), make_meter("sum", "sum"))
    rows = planned_rows(plan_flush(make_claim(0, 0, 1), assemble(frames), NOTHING_KNOWN, meters, WINDOW))
    months = {month for _, block in rows.in_order() for month in block["month"].to_pylist()}
    assert months == {202610}


def test_a_replay_counts_for_its_meter_only_and_once() -> None:
    """It is not stored as an event, but its key is stored like any other."""
    first = make_event("k", {"tokens": "7"}, timestamp=NOW - DAY)
    replay = make_replay(first, reject_id(0, 0, 0, 0, "tokens"), "tokens")
    flushes = FlushSequence([make_meter("tokens", "sum"), make_meter("requests")])
    rows = flushes.flush([make_frame([replay, replay], offset=0)])
    again = flushes.flush([make_frame([replay], offset=1)])
    assert [(row["meter"], row["sum"]) for row in rows.usage.to_pylist()[1:]] == [("tokens", Decimal(7))]
    assert (rows.events.num_rows, rows.seen.num_rows) == (0, 1)
    assert rows.counts.duplicates == 1
    assert (again.usage.num_rows, again.counts.duplicates) == (1, 1)


def test_a_replay_that_fails_is_a_new_reject() -> None:
    """The new reject names the old one."""
    replay = make_replay(make_event("k", {"tokens": "many"}), "rej_0_0_0_0_tokens", "tokens")
    rows = FlushSequence([make_meter("tokens", "sum")]).flush([make_frame([replay])])
    reject = rows.rejects.to_pylist()[0]
    assert (reject["replay_of"], reject["meter"], reject["flags"]) == ("rej_0_0_0_0_tokens", "tokens", EventFlag.REPLAY)


def test_a_replay_for_an_archived_meter_leaves_its_reject_open() -> None:
    """The meter does not count it any more, and no key is stored, so the reject stays open, for audits too."""
    replay = make_replay(make_event("k", {"tokens": "7"}), reject_id(0, 0, 0, 0, "tokens"), "tokens")
    rows = FlushSequence([make_meter(), make_meter("tokens", "sum", account="acme_test")]).flush([make_frame([replay])])
    assert (rows.usage.num_rows, rows.rejects.num_rows, rows.seen.num_rows, len(rows.new_hashes)) == (1, 0, 0, 0)
    assert rows.counts.accepted == 0


@pytest.mark.parametrize(("gap", "verdict"), [(WINDOW, "duplicates"), (WINDOW + 1, "accepted")])
def test_a_key_is_known_for_the_window(gap: int, verdict: str) -> None:
    """By the arrivals of the frames. After the window the key is free, and a new event takes it."""
    flushes = FlushSequence([])
    flushes.flush([make_frame([make_event("k")], offset=0, arrival=NOW)])
    rows = flushes.flush([make_frame([make_event("k")], offset=1, arrival=NOW + gap)])
    assert getattr(rows.counts, verdict) == 1
    assert rows.seen["arrival"].to_pylist() == ([NOW + gap] if verdict == "accepted" else [])


def test_under_backfill_a_key_never_expires() -> None:
    """Such an event may be of any age, so no window covers its retries."""
    flushes = FlushSequence([])
    event = make_event("k", flags=EventFlag.BACKFILL)
    flushes.flush([make_frame([event], offset=0, arrival=NOW)])
    rows = flushes.flush([make_frame([event], offset=1, arrival=NOW + 1000 * DAY)])
    assert (rows.counts.accepted, rows.counts.duplicates) == (0, 1)


def test_a_tenth_a_million_times_is_a_hundred_thousand() -> None:
    """No value passes through a float."""
    million = 1_000_000
    events = assemble([make_frame([make_event("k", '{"tokens":0.1}')])])
    many = events.take(pa.array([0] * million))
    keys = pa.array([number.to_bytes(16, "big") for number in range(million)], pa.binary(16))
    many = many.set_column(many.column_names.index("key_hash"), "key_hash", keys)
    rows = planned_rows(
        plan_flush(make_claim(), many, NOTHING_KNOWN, make_meter_set(make_meter("tokens", "sum")), WINDOW)
    )
    assert rows.usage.to_pylist()[1]["sum"] == Decimal(100_000)
    assert rows.counts.accepted == million
