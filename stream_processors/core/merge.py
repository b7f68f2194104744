"""Merging of usage rows into one per key, with the same functions as the store's merges."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import HASH
from stream_processors.core.groups import Groups, distinct, group_rows, latest, rank, reduce
from stream_processors.core.usage_rows import stacked, usage_rows

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
