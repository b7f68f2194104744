"""Usage as files keeps every digit and every character."""

import csv
import io
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_gateway.api.usage_formats import render_csv, render_parquet
from schemas.quantity import to_text
from schemas.tables import QUANTITY
from schemas.timestamps import DAY, to_iso
from schemas.usage import UsageRow

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
ROWS = st.lists(
    st.builds(
        UsageRow,
        meter=st.just("tokens"),
        customer_id=TEXT,
        window_start=st.integers(0, 40_000).map(lambda day: day * DAY),
        window_end=st.just(50_000 * DAY),
        group=st.fixed_dictionaries({"model": st.none() | TEXT, "a": TEXT}),
        value=st.decimals(-(10**20), 10**20, places=12),
    ),
    max_size=5,
)
GROUPS = ("model", "a")


def defused(text: str) -> str:
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") and text else text


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_text_of_a_csv_is_a_formula(start: str) -> None:
    """A spreadsheet would run what a customer calls itself; values below zero stay numbers."""
    text = start + "HYPERLINK(1)"
    row = UsageRow(
        meter="tokens",
        customer_id=text,
        window_start=0,
        window_end=DAY,
        group={"model": text, "a": None},
        value=Decimal("-5.5"),
    )
    (_, line) = csv.reader(io.StringIO(render_csv([row], GROUPS).decode(), newline=""))
    assert (line[1], line[4], line[5], line[6]) == (f"'{text}", f"'{text}", "", "-5.5")


@given(ROWS)
def test_csv_holds_the_rows(rows: list[UsageRow]) -> None:
    """Each line read back is its row, with commas, quotes and non-Latin scripts."""
    header, *lines = csv.reader(io.StringIO(render_csv(rows, GROUPS).decode(), newline=""))
    assert header == ["meter", "customer_id", "window_start", "window_end", "group.model", "group.a", "value"]
    assert lines == [
        [
            row.meter,
            defused(row.customer_id),
            to_iso(row.window_start),
            to_iso(row.window_end),
            defused(row.group["model"] or ""),
            defused(row.group["a"] or ""),
            to_text(row.value),
        ]
        for row in rows
    ]


@given(ROWS)
def test_parquet_holds_the_rows(rows: list[UsageRow]) -> None:
    """Values read back are the same decimals, a missing group value is null, and an empty file has all columns."""
    table = pq.read_table(io.BytesIO(render_parquet(rows, GROUPS)))
    assert table.schema.field("value").type == QUANTITY
    assert table.schema.field("window_start").type == pa.timestamp("us", tz="UTC")
    assert table["customer_id"].to_pylist() == [row.customer_id for row in rows]
    assert table["group.model"].to_pylist() == [row.group["model"] for row in rows]
    assert table["value"].to_pylist() == [Decimal(row.value) for row in rows]
