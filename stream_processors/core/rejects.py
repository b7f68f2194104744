"""Rejects as rows: the whole event and the reason why it is not counted."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from schemas.event import RejectCode
from schemas.meter import Meter
from schemas.property_path import parse_path
from schemas.quantity import QUANTITY_LIMIT
from schemas.tables import REJECTS
from schemas.timestamps import to_iso
from stream_processors.core.property_columns import CHUNK
from stream_processors.core.property_decoder import Value, decoder_for, is_readable
from stream_processors.core.values import canonical_json, exact_number

_SHOWN = 60
"""How many characters of a wrong value a message repeats."""


class RejectedRow(NamedTuple):
    """Why the event at `row` is not counted by `meter`, or by any ('')."""

    row: int
    meter: str
    code: RejectCode
    message: str


def conflict_rows(events: pa.Table, *, month: int) -> pa.Table:
    """The events, whose keys belong to events with other bodies, as rejects of no meter."""
    slices = (events.slice(start, CHUNK) for start in range(0, events.num_rows, CHUNK))
    return stacked_rejects(
        [reject_rows(some, list(map(_conflict, range(some.num_rows))), month=month, origin="") for some in slices]
    )


def _conflict(row: int) -> RejectedRow:
    return RejectedRow(
        row,
        "",
        RejectCode.CONFLICT,
        "this idempotency_key was used before for an event with another content; that one counts, this one does not. "
        "Send a different event under a key of its own",
    )


def timestamp_out_of_range(row: int, meter: Meter, timestamp: int) -> RejectedRow:
    """The event's timestamp is outside the range of usage rows."""
    return RejectedRow(
        row,
        meter.code,
        RejectCode.TIMESTAMP_OLD,
        f"meter {meter.code} cannot count at {to_iso(timestamp)}: usage reaches from 1970 to 2106",
    )


def explain(rows: Sequence[int], properties: pa.Array, meter: Meter) -> list[RejectedRow]:
    """The reason for each of the `rows`, whose `properties` hold no value that the meter can count."""
    path = parse_path(meter.value_property or "", "value_property")
    decoder = decoder_for(frozenset({path[0]}))
    rejects: list[RejectedRow] = []
    for start in range(0, len(properties), CHUNK):
        texts = properties.slice(start, CHUNK)
        values = decoder.values(decoder.decode(texts), path)
        reasons = (_reason(value, text, meter) for value, text in zip(values, texts.to_pylist(), strict=True))
        rejects += [
            RejectedRow(row, meter.code, *reason)
            for row, reason in zip(rows[start : start + CHUNK], reasons, strict=True)
        ]
    return rejects


def _reason(value: Value, text: str, meter: Meter) -> tuple[RejectCode, str]:
    need = "a number" if meter.aggregation.needs_number else "a value"
    wish = f"meter {meter.code} needs {need} at {meter.value_property}"
    if value is None:
        if not is_readable(text):
            return RejectCode.MALFORMED, f"{wish}, but the properties cannot be read as a JSON object"
        return RejectCode.VALUE_MISSING, f"{wish}, which this event lacks"
    if exact_number(value) is None:
        return RejectCode.VALUE_NOT_A_NUMBER, f"{wish}; found {_shown(value)}"
    return RejectCode.VALUE_RANGE, f"{wish} between -{QUANTITY_LIMIT:f} and {QUANTITY_LIMIT:f}; found {_shown(value)}"


def _shown(value: Value) -> str:
    text = canonical_json(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def reject_rows(events: pa.Table, rejects: Sequence[RejectedRow], *, month: int, origin: str) -> pa.Table:
    """The rejects in the layout REJECTS, in order of arrival, then of meters. `events` has the layout EVENTS."""
    if not rejects:
        return REJECTS.empty_table()
    in_order = sorted(rejects)
    rows = pa.array(np.array([reject.row for reject in in_order], dtype=np.int64))
    size = len(in_order)
    given = {
        "origin": pa.repeat(origin, size),
        "meter": pa.array([reject.meter for reject in in_order], pa.string()),
        "code": pa.array([reject.code.value for reject in in_order], pa.string()),
        "message": pa.array([reject.message for reject in in_order], pa.string()),
        "month": pa.repeat(pa.scalar(month, pa.uint32()), size),
        "piece": pa.repeat(pa.scalar(0, pa.uint32()), size),
    }
    if "replay_of" not in events.column_names:
        given["replay_of"] = pa.repeat("", size)
    taken = events.select([name for name in REJECTS.names if name not in given]).take(rows)
    columns = [given[field.name] if field.name in given else taken[field.name] for field in REJECTS]
    return pa.table(columns, names=REJECTS.names).cast(REJECTS).combine_chunks()


def stacked_rejects(tables: Sequence[pa.Table]) -> pa.Table:
    """The rejects of the tables one after the other, one chunk per column."""
    filled = [table for table in tables if table.num_rows]
    return filled[0] if len(filled) == 1 else pa.concat_tables([REJECTS.empty_table(), *filled]).combine_chunks()


def with_piece(rejects: pa.Table, piece: int) -> pa.Table:
    """The rejects as the piece of this number."""
    column = rejects.schema.get_field_index("piece")
    number = pa.repeat(pa.scalar(piece, pa.uint32()), rejects.num_rows)
    return rejects.set_column(column, rejects.schema.field(column), number)


def counts_by_code(rejects: pa.Table) -> dict[str, int]:
    """The number of rows of each code."""
    return {entry["values"]: entry["counts"] for entry in rejects["code"].value_counts().to_pylist()}
