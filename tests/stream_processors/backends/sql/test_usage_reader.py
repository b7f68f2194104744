"""Usage queries on the real engine, and folded in memory, against the oracle."""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from schemas.errors import StatementTooLarge, Unanswerable
from schemas.meter import Aggregation
from schemas.tables import USAGE
from schemas.timestamps import SECOND
from schemas.usage import UsageQuery, UsageRow
from stream_processors.backends.reading.cells import page_of
from stream_processors.backends.reading.fold import fold
from stream_processors.backends.reading.windows import windows_between
from stream_processors.backends.sql.client import AsyncSqlClient, Parameters
from stream_processors.backends.sql.usage_query import ON_DISK
from stream_processors.backends.sql.usage_reader import SqlUsageReader
from tests.stream_processors.backends.sql.usage_cases import ACCOUNT, latest_of, meter_of, usage_queries, usage_rows
from tests.stream_processors.backends.sql.usage_oracle import Answer, Row, answer, label


def as_table(rows: Sequence[Row], meter: str) -> pa.Table:
    shared = {"account": ACCOUNT, "meter": meter, "month": 202601}
    return pa.Table.from_pylist([shared | {**row} for row in rows], schema=USAGE)


def as_answers(rows: Sequence[UsageRow], query: UsageQuery) -> list[Answer]:
    return [
        (
            row.customer_id,
            label(query.window, query.timezone, row.window_start // SECOND),
            tuple(row.group.values()),
            row.value,
        )
        for row in rows
    ]


async def all_pages(reader: SqlUsageReader, query: UsageQuery) -> list[UsageRow]:
    rows: list[UsageRow] = []
    while True:
        page = await reader.usage(query)
        assert len(page.rows) <= query.limit
        rows += page.rows
        if page.next_cursor is None:
            return rows
        query = msgspec.structs.replace(query, after=page.next_cursor)


class SmallStore(AsyncSqlClient):
    """A store whose memory is too small for a statement that is calculated in it."""

    def __init__(self, inner: AsyncSqlClient, *, answers_from_disk: bool = True) -> None:
        self._inner = inner
        self._answers_from_disk = answers_from_disk

    async def query(self, sql: str, parameters: Parameters | None = None) -> pa.Table:
        if self._answers_from_disk and sql.endswith(ON_DISK):
            return await self._inner.query(sql, parameters)
        raise StatementTooLarge("Code: 241. ")

    async def rows(self, sql: str, parameters: Parameters | None = None) -> Sequence[Any]:
        return await self._inner.rows(sql, parameters)


def test_what_cannot_be_read_is_refused_with_advice(usage_store: AsyncSqlClient) -> None:
    """Not as a passing failure: it would fail again."""
    query = UsageQuery(account=ACCOUNT, meter=meter_of("huge", Aggregation.UNIQUE), start=0, end=60 * SECOND)
    reader = SqlUsageReader(SmallStore(usage_store, answers_from_disk=False), 2)
    with pytest.raises(Unanswerable, match="ask for a shorter range"):
        asyncio.run(reader.usage(query))


# No shrinking: every example costs inserts.
@settings(max_examples=40, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(data=st.data())
def test_usage_is_what_the_oracle_counts(
    data: st.DataObject, usage_store: AsyncSqlClient, fresh_code: Callable[[], str]
) -> None:
    """For any rows and any query, engine, fold and oracle agree page by page and value by value."""
    code = fresh_code()
    rows = data.draw(usage_rows())
    query = data.draw(usage_queries(code))
    groups = {row["grp"]: msgspec.json.decode(row["grp"]) for row in rows}
    expected = answer(rows, query, groups)

    async def read_pages() -> list[UsageRow]:
        for half, part in enumerate((rows[::2], rows[1::2])):
            if part:
                await usage_store.insert("usage", as_table(part, code), f"{code}/{half}")
        found = await all_pages(SqlUsageReader(usage_store, 2), query)
        if query.meter.aggregation is Aggregation.UNIQUE:  # All others send the same statement with other settings.
            assert await all_pages(SqlUsageReader(SmallStore(usage_store), 2), query) == found
        return found

    found = asyncio.run(read_pages())
    assert as_answers(found, query) == expected
    assert all(query.start <= row.window_start < row.window_end <= query.end for row in found)
    assert folded(rows, query) == found


def folded(rows: Sequence[Row], query: UsageQuery) -> list[UsageRow]:
    windows = windows_between(query.window, query.timezone, query.start // SECOND, query.end // SECOND)
    pages: list[UsageRow] = []
    while True:
        page, cursor = page_of(fold(as_table(rows, query.meter.code), query, windows), query, windows)
        pages += page
        if cursor is None:
            return pages
        query = msgspec.structs.replace(query, after=cursor)


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)


def row_without_values(customer: str, *group: str | None) -> Row:
    return Row(
        customer_id=customer,
        minute=1_750_000_020,
        grp=msgspec.json.encode(group).decode(),
        sum=Decimal(1),
        count=1,
        min=Decimal(1),
        max=Decimal(1),
        latest=latest_of(Decimal(1), (0, 0, 0, 0, 0)),
        uniques=[],
    )


@settings(max_examples=15, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(customer=texts.filter(bool), value=texts, other=texts)
def test_texts_are_returned_to_the_letter(
    customer: str, value: str, other: str, usage_store: AsyncSqlClient, fresh_code: Callable[[], str]
) -> None:
    """Customers and group values of any script, with quotes, backslashes and line ends, are separated and filtered."""
    code = fresh_code()
    row = row_without_values(customer, value, None, other)
    query = UsageQuery(
        account=ACCOUNT,
        meter=meter_of(code, Aggregation.COUNT),
        start=0,
        end=1_800_000_000 * SECOND,
        customers=(customer,),
        group_by=("tier", "model"),
        groups={"model": (value,), "region": (None,)},
    )

    async def read_pages() -> list[UsageRow]:
        await usage_store.insert("usage", as_table([row], code), code)
        return await all_pages(SqlUsageReader(usage_store, 1), query)

    (found,) = asyncio.run(read_pages())
    assert (found.customer_id, found.group) == (customer, {"tier": other, "model": value})


def test_a_row_without_values_is_ranked_with_zero(usage_store: AsyncSqlClient, fresh_code: Callable[[], str]) -> None:
    """Also in the form that goes to disk, in which each value is a row of its own."""
    code = fresh_code()
    row = row_without_values("c1", None, "a", "b")
    query = UsageQuery(
        account=ACCOUNT, meter=meter_of(code, Aggregation.UNIQUE), start=0, end=1_800_000_000 * SECOND, top=2
    )

    async def read_pages() -> list[list[UsageRow]]:
        await usage_store.insert("usage", as_table([row], code), code)
        return [await all_pages(SqlUsageReader(store, 1), query) for store in (usage_store, SmallStore(usage_store))]

    in_memory, on_disk = asyncio.run(read_pages())
    assert in_memory == on_disk
    assert [found.value for found in on_disk] == [Decimal(0)]
