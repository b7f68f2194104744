"""Response formats of usage: content negotiation, CSV and Parquet."""

import csv
import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from ingest_gateway.http.errors import NotAcceptable
from schemas.quantity import to_text
from schemas.tables import MICROS, QUANTITY
from schemas.timestamps import to_iso
from schemas.usage import UsageRow


def negotiate(accept: bytes | None, offered: Sequence[bytes]) -> bytes:
    """The offer with the highest quality, the earlier of equal ones. Raises NotAcceptable."""
    preferences = _preferences(accept or b"*/*")
    preferred = max(offered, key=lambda offer: _quality(preferences, offer))
    if _quality(preferences, preferred) <= 0:
        known = b", ".join(offered).decode()
        raise NotAcceptable(
            f"Accept: none of these formats is available; known are {known}", details={"offered": known}
        )
    return preferred


def _preferences(accept: bytes) -> dict[bytes, float]:
    """Media range → quality."""
    preferences: dict[bytes, float] = {}
    for entry in accept.lower().split(b","):
        media_range, *parameters = (part.strip() for part in entry.split(b";"))
        quality = next((part[2:] for part in parameters if part.startswith(b"q=")), b"1")
        try:
            preferences[media_range] = float(quality)
        except ValueError:
            preferences[media_range] = 0.0
    return preferences


def _quality(preferences: dict[bytes, float], offer: bytes) -> float:
    """The type itself takes precedence over its kind, and the kind over `*/*`."""
    for media_range in (offer, offer.split(b"/")[0] + b"/*", b"*/*"):
        if media_range in preferences:
            return preferences[media_range]
    return 0.0


_COLUMNS = ("meter", "customer_id", "window_start", "window_end")


_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def _text_cell(text: str | None) -> str | None:
    """The text, after an apostrophe if a spreadsheet would take it for a formula: customers choose their ids."""
    return f"'{text}" if text is not None and text.startswith(_FORMULA_STARTS) else text


def render_csv(rows: Sequence[UsageRow], groups: Sequence[str]) -> bytes:
    """One line per row, a column for each of the `groups`; a missing group value is an empty cell.

    A text that begins like a formula has an apostrophe before it; numbers stay numbers.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*_COLUMNS, *(f"group.{group}" for group in groups), "value"])
    for row in rows:
        times = to_iso(row.window_start), to_iso(row.window_end)
        texts = map(_text_cell, (row.meter, row.customer_id, *times, *(row.group[group] for group in groups)))
        writer.writerow([*texts, to_text(row.value)])
    return text.getvalue().encode()


def render_parquet(rows: Sequence[UsageRow], groups: Sequence[str]) -> bytes:
    """The same columns, with typed times and decimals; a missing group value is null."""
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
