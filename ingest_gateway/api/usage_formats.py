"""Usage rows as files: CSV for spreadsheets, Parquet for columns. Values stay exact in both."""

import csv
import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.quantity import to_text
from schemas.tables import MICROS, QUANTITY
from schemas.timestamps import to_iso
from schemas.usage import UsageRow

_COLUMNS = ("meter", "customer_id", "window_start", "window_end")


def render_csv(rows: Sequence[UsageRow], groups: Sequence[str]) -> bytes:
    """One line per row, a column for each of the `groups`; a missing group value is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*_COLUMNS, *(f"group.{group}" for group in groups), "value"])
    for row in rows:
        times = to_iso(row.window_start), to_iso(row.window_end)
        kept_apart = (row.group[group] for group in groups)
        writer.writerow([row.meter, row.customer_id, *times, *kept_apart, to_text(row.value)])
    return text.getvalue().encode()


def render_parquet(rows: Sequence[UsageRow], groups: Sequence[str]) -> bytes:
    """The same columns, with times and decimals as such; a missing group value is null."""
    columns = {
        "meter": pa.array([row.meter for row in rows], pa.string()),
        "customer_id": pa.array([row.customer_id for row in rows], pa.string()),
        "window_start": pa.array([row.window_start for row in rows], MICROS),
        "window_end": pa.array([row.window_end for row in rows], MICROS),
        **{f"group.{group}": pa.array([row.group[group] for row in rows], pa.string()) for group in groups},
        "value": pa.array([row.value for row in rows], QUANTITY),
    }
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    written: bytes = sink.getvalue().to_pybytes()
    return written
