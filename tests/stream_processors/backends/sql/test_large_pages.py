"""Large results, page by page: an engine sorts and limits them in other ways than small ones."""

import asyncio
from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from schemas.tables import NO_LATEST, USAGE
from schemas.timestamps import SECOND
from schemas.usage import UsageQuery, Window
from stream_processors.backends.sql.client import AsyncSqlClient
from stream_processors.backends.sql.usage_reader import SqlUsageReader
from tests.factories import make_meter
from tests.stream_processors.backends.sql.test_usage_reader import all_pages
from tests.stream_processors.backends.sql.usage_cases import ACCOUNT

pytestmark = pytest.mark.anyio

CUSTOMERS = 12_000
MODELS = ("alpha", "bravo", "delta", "gamma", "omega")
STARTS = [1_795_000_020 + 60 * number for number in range(3)]
"""Of the minutes there are."""


def rows_of(meter: str, minute: int) -> pa.Table:
    """One row for each customer and model, each with the value 1."""
    customers = np.repeat([f"customer_{number:05}" for number in range(CUSTOMERS)], len(MODELS))
    size = len(customers)
    values = {
        "account": ACCOUNT,
        "meter": meter,
        "minute": minute,
        "sum": Decimal(1),
        "count": 1,
        "min": None,
        "max": None,
        "latest": NO_LATEST,
        "uniques": [],
        "month": 202611,
    }
    columns = {name: pa.repeat(pa.scalar(value, USAGE.field(name).type), size) for name, value in values.items()}
    columns["customer_id"] = pa.array(customers)
    columns["grp"] = pa.array([f'["{model}"]' for model in MODELS] * CUSTOMERS)
    return pa.table([columns[name] for name in USAGE.names], schema=USAGE)


FilledStore = tuple[AsyncSqlClient, str]


@pytest.fixture(scope="module")
def filled(usage_store: AsyncSqlClient, fresh_code: Callable[[], str]) -> FilledStore:
    """A store, and a meter with a row for each customer and model in each of some minutes."""
    code = fresh_code()

    async def fill() -> None:
        for minute in STARTS:
            await usage_store.insert("usage", rows_of(code, minute), f"{code}/{minute}")

    asyncio.run(fill())
    return usage_store, code


@pytest.mark.parametrize("limit", [pytest.param(1_500, marks=pytest.mark.long), 10_000])
@pytest.mark.parametrize(("window", "group_by"), [(Window.NONE, ("model",)), (Window.MINUTE, ()), (Window.NONE, ())])
async def test_no_row_is_lost_between_pages(
    filled: FilledStore, window: Window, group_by: tuple[str, ...], limit: int
) -> None:
    """Every customer and group appears once and in order, whatever the page size."""
    store, code = filled
    query = UsageQuery(
        account=ACCOUNT,
        meter=make_meter(code, "sum", account=ACCOUNT, group_by={"model": "$.model"}),
        start=STARTS[0] * SECOND,
        end=(STARTS[-1] + 60) * SECOND,
        window=window,
        group_by=group_by,
        limit=limit,
    )
    rows = await all_pages(SqlUsageReader(store, 1), query)
    keys = [(row.customer_id, row.window_start, row.group.get("model", "")) for row in rows]
    models = MODELS if group_by else ("",)
    starts = [minute * SECOND for minute in (STARTS if window is Window.MINUTE else STARTS[:1])]
    expected = [
        (f"customer_{number:05}", start, model) for number in range(CUSTOMERS) for start in starts for model in models
    ]
    assert keys == expected
    worth = Decimal(len(STARTS) * len(MODELS) // (len(starts) * len(models)))
    assert {row.value for row in rows} == {worth}
