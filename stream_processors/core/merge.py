"""Usage rows into fewer: one per key, by the same functions by which the store merges them."""

from collections.abc import Sequence

import pyarrow as pa


def merge_usage(tables: Sequence[pa.Table], *, month: int) -> pa.Table:
    """One row per (account, meter, customer, minute, grp), sorted, all carrying `month`."""
    raise NotImplementedError


def with_receipt(usage: pa.Table, receipt: str, *, month: int) -> pa.Table:
    """The rows and the extra one that shows, in the table itself, that they are there. One chunk per column."""
    raise NotImplementedError
