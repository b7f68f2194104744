"""Usage as requests and answers hold it. `routes_usage` reads the requests; a test holds the two together."""

from typing import Annotated

import msgspec
from msgspec import Meta

from ingest_gateway.http.answers import Listed
from schemas.field_types import TimestampText, ZoneName
from schemas.usage import Window

PAGE = 1000
LARGEST_PAGE = 10_000
LARGEST_TOP = 10_000
CUSTOMERS = 1000

Minute = Annotated[TimestampText, Meta(examples=["2026-11-01T00:00:00Z"])]
_ROWS = (
    "meter,customer_id,window_start,window_end,group.model,value\r\n"
    "tokens,cm5x9z8nv0000h85r7l9p2k1m,2026-11-01T00:00:00Z,2026-12-01T00:00:00Z,gpt-4,1500\r\n"
)
Csv = Annotated[str, Meta(description="A line for each row, a column for each group.", examples=[_ROWS])]
Parquet = bytes
"""The same rows as columns, times and decimals as such."""


class UsageParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which usage of one meter."""

    meter: Annotated[str, Meta(description="The meter's code.", examples=["tokens"])]
    start: Annotated[Minute, Meta(description="A whole minute, the first of the range.")] = msgspec.field(name="from")
    end: Annotated[Minute, Meta(description="A whole minute, the first that is not part of the range.")] = (
        msgspec.field(name="to")
    )
    customer_id: Annotated[
        tuple[str, ...],
        Meta(max_length=CUSTOMERS, description="Only these; repeated or with commas. A comma inside one is `\\,`."),
    ] = ()
    window: Annotated[Window, Meta(description="One row for each; `none`: one for the whole range.")] = Window.NONE
    timezone: Annotated[ZoneName, Meta(description="Where days and months begin.")] = "UTC"
    group_by: Annotated[tuple[str, ...], Meta(description="Group keys of the meter to keep apart.")] = ()
    filter: Annotated[
        dict[str, str], Meta(description="`filter[model]=gpt-4`: only rows of that group; empty: without it.")
    ] = {}
    top: Annotated[
        Annotated[int, Meta(ge=1, le=LARGEST_TOP)] | None,
        Meta(description="Only the customers with the largest values."),
    ] = None
    limit: Annotated[int, Meta(ge=1, le=LARGEST_PAGE, description="How many rows at most.")] = PAGE
    cursor: Annotated[str | None, Meta(description="`next_cursor` of the page before.")] = None


class UsageDocument(msgspec.Struct, kw_only=True):
    """What one customer used in one window."""

    meter: str
    customer_id: str
    window_start: str
    window_end: str
    group: dict[str, str | None]
    value: Annotated[str, Meta(description="A decimal, exactly.")]


class UsagePage(Listed, kw_only=True):
    """One page of usage."""

    usage: list[UsageDocument]
    watermark: Annotated[
        dict[str, int], Meta(description="Partition to its last flush: the rows are exactly the events up to these.")
    ]
    as_of: str
