"""Usage rows: keys with their aggregates, receipts, and the merge of rows with equal keys."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import HASH, LATEST, NO_LATEST, QUANTITY, USAGE
from stream_processors.core.groups import Groups, distinct, group_rows, latest, list_of_hashes, rank, reduce

Aggregates = dict[str, pa.Array]
"""Columns of USAGE by name; an absent column gets the neutral element of its merge function."""


def usage_rows(columns: Aggregates, size: int, *, month: int) -> pa.Table:
    """The columns as a table of `size` rows in the layout USAGE, one chunk per column."""
    given = {**columns, "month": pa.repeat(pa.scalar(month, pa.uint32()), size)}
    return pa.table(
        [given[field.name] if field.name in given else _neutral(field.name, size) for field in USAGE], schema=USAGE
    ).combine_chunks()


def _neutral(name: str, size: int) -> pa.Array:
    match name:
        case "latest":
            columns = [pa.repeat(pa.scalar(NO_LATEST[field.name], field.type), size) for field in LATEST]
            return pa.StructArray.from_arrays(columns, fields=list(LATEST))
        case "uniques":
            return list_of_hashes(np.zeros(size + 1, dtype=np.int64), pa.array([], HASH))
        case "min" | "max":
            return pa.nulls(size, QUANTITY)
        case _:
            return pa.repeat(pa.scalar(0, USAGE.field(name).type), size)


def with_receipt(usage: pa.Table, receipt: str, *, month: int, end: str = "") -> pa.Table:
    """The rows, with the receipt of their piece as an extra one; `end` is that of `piece_receipt`. One chunk per
    column."""
    row = {
        "account": pa.array([""]),
        "meter": pa.array([""]),
        "customer_id": pa.array([receipt]),
        "minute": pa.array([0], pa.uint32()),
        "grp": pa.array([end]),
    }
    return stacked([usage_rows(row, 1, month=month), usage])


def stacked(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of the tables one after the other, one chunk per column."""
    return pa.concat_tables([USAGE.empty_table(), *tables]).combine_chunks()


KEY = ("account", "meter", "customer_id", "minute", "grp")


def merge_usage(tables: Sequence[pa.Table], *, month: int) -> pa.Table:
    """One row per account, meter, customer, minute and group, sorted by them; every row carries `month`."""
    usage = stacked(tables)
    columns = {name: usage[name].combine_chunks() for name in usage.column_names}
    groups = group_rows(*(rank(columns[name]) for name in KEY))
    keys = {name: columns[name].take(pa.array(groups.examples)) for name in KEY}
    merged = {
        "sum": reduce(groups, columns["sum"], "sum"),
        "count": reduce(groups, columns["count"], "sum"),
        "min": reduce(groups, columns["min"], "min"),
        "max": reduce(groups, columns["max"], "max"),
        "latest": latest(groups, columns["latest"]),
        "uniques": _union(groups, columns["uniques"]),
    }
    return usage_rows({**keys, **merged}, len(groups), month=month)


def _union(groups: Groups, lists: pa.ListArray) -> pa.ListArray:
    parents = pc.list_parent_indices(lists).to_numpy()
    encoded = pc.list_flatten(lists).cast(HASH).dictionary_encode()
    owners = Groups(codes=groups.codes[parents], examples=groups.examples)
    return distinct(owners, encoded.indices.to_numpy().astype(np.int64), encoded.dictionary)
