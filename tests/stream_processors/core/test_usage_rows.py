"""Usage rows merge the same in any order and any grouping."""

import random

from hypothesis import given
from hypothesis import strategies as st

from schemas.meter import Meter
from schemas.tables import USAGE
from stream_processors.core.usage_rows import merge_usage, with_receipt
from tests import oracle
from tests.factories import Event
from tests.strategies import batches, meter_lists
from tests.stream_processors.core.flush_sequence import FlushSequence, as_frames

Posted = list[tuple[int, list[Event]]]


@given(batches().filter(bool), meter_lists(), st.randoms(use_true_random=False))
def test_merging_changes_no_usage(posted: Posted, meters: tuple[Meter, ...], shuffler: random.Random) -> None:
    """One sorted row per key; merging in two steps and in another order gives the same rows."""
    flushes = FlushSequence(meters)
    for frame in as_frames(posted):
        flushes.flush([frame])
    tables = [rows.usage for rows in flushes.flushes]
    merged = merge_usage(tables, month=202611)
    keys = [tuple(row[name] for name in USAGE.names[:5]) for row in merged.to_pylist()]
    assert keys == sorted(set(keys))
    assert oracle.usage_of_rows(merged.to_pylist(), meters) == oracle.usage_of_rows(flushes.usage, meters)
    shuffler.shuffle(tables)
    half = len(tables) // 2
    again = merge_usage([merge_usage(tables[:half], month=1), *tables[half:]], month=202611)
    assert in_any_order(again.to_pylist()) == in_any_order(merged.to_pylist())


def in_any_order(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{**row, "uniques": sorted(row["uniques"])} for row in rows]  # type: ignore[call-overload] # a list of bytes


def test_nothing_merges_to_nothing() -> None:
    """The result has the layout, and the receipt as its only row."""
    merged = merge_usage([], month=202611)
    assert (merged.num_rows, merged.schema) == (0, USAGE)
    receipted = with_receipt(merged, "backfill/a/m/0/3", month=202611)
    assert receipted["customer_id"].to_pylist() == ["backfill/a/m/0/3"]
    assert receipted.schema == USAGE
