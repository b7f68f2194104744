"""Usage rows: aggregates beside their keys, the same functions merged, and receipts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.tables import NO_LATEST, USAGE

Aggregates = dict[str, pa.Array]
"""Columns of USAGE by name; those not given hold what changes nothing when rows are merged."""

_NEUTRAL: dict[str, Any] = {
    "sum": 0,
    "count": 0,
    "min": None,
    "max": None,
    "latest": NO_LATEST,
    "uniques": [],
}


def usage_rows(columns: Aggregates, size: int, *, month: int) -> pa.Table:
    """Layout USAGE, one chunk per column."""
    given = {**columns, "month": pa.repeat(pa.scalar(month, pa.uint32()), size)}
    return pa.table(
        [given[field.name] if field.name in given else _neutral(field, size) for field in USAGE], schema=USAGE
    ).combine_chunks()


def _neutral(field: pa.Field, size: int) -> pa.Array:
    one = pa.array([_NEUTRAL[field.name]], field.type)
    return one.take(pa.array(np.zeros(size, dtype=np.int64)))


def with_receipt(usage: pa.Table, receipt: str, *, month: int) -> pa.Table:
    """The rows and the extra one that shows, in the table itself, that they are there. One chunk per column."""
    mark = {
        "account": pa.array([""]),
        "meter": pa.array([""]),
        "customer_id": pa.array([receipt]),
        "minute": pa.array([0], pa.uint32()),
        "grp": pa.array([""]),
    }
    return stacked([usage_rows(mark, 1, month=month), usage])


def stacked(tables: Sequence[pa.Table]) -> pa.Table:
    """The tables' rows one after the other, one chunk per column."""
    return pa.concat_tables([USAGE.empty_table(), *tables]).combine_chunks()
