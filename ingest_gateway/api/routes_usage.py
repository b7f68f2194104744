"""`GET /v1/usage`: exact quantities per customer, window and group."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ingest_gateway.api.usage_formats import negotiate, render_csv, render_parquet
from ingest_gateway.http.envelope import JSON, Listed, Response, pagination
from ingest_gateway.http.field_rules import rule
from ingest_gateway.http.request import Request
from ingest_gateway.http.route import Description, Route
from ingest_gateway.http.validation import did_you_mean
from ingest_gateway.ports import MeterCatalog, UsageQueries
from schemas.account import Scope
from schemas.errors import Invalid
from schemas.field_types import ZoneName
from schemas.ids import AccountId
from schemas.meter import Meter
from schemas.moments import EventMoment
from schemas.quantity import to_text
from schemas.timestamps import MINUTE, to_iso
from schemas.timezones import check_time_zone
from schemas.usage import UsageQuery, UsageResult, UsageRow, Window
from schemas.watermark import Watermark

PAGE = 1000
LARGEST_PAGE = 10_000
LARGEST_TOP = 10_000
CUSTOMERS = 1000

Minute = Annotated[EventMoment, Meta(examples=["2026-11-01T00:00:00Z"])]
_ROWS = (
    "meter,customer_id,window_start,window_end,group.model,value\r\n"
    "tokens,cm5x9z8nv0000h85r7l9p2k1m,2026-11-01T00:00:00Z,2026-12-01T00:00:00Z,gpt-4,1500\r\n"
)
Csv = Annotated[
    str,
    Meta(
        description="A line for each row, a column for each group. A text that begins with `=`, `+`, `-`, `@`, a tab "
        "or a line break has an apostrophe before it, so that no spreadsheet runs it as a formula.",
        examples=[_ROWS],
    ),
]
Parquet = bytes
"""The same rows as columns, with typed times and decimals."""


# One parameter is described as one text; a repeated one adds a value, so what is read is a tuple.
GroupValues = Annotated[Any, Meta(extra_json_schema={"type": "string"})]


def _customers_rule(customers: tuple[str, ...], _owner: Mapping[str, Any]) -> str | None:
    return f"at most {CUSTOMERS} in one request, or none for all of them" if len(customers) > CUSTOMERS else None


def _zone_rule(name: str, _owner: Mapping[str, Any]) -> str | None:
    try:
        check_time_zone(name, "timezone")
    except Invalid as error:
        return error.message.removeprefix("timezone: ")
    return None


class UsageParameters(msgspec.Struct, frozen=True, kw_only=True):
    """A query for the usage of one meter."""

    meter: Annotated[str, Meta(description="The meter's code.", examples=["tokens"])]
    start: Annotated[Minute, Meta(description="A whole minute, the first of the range.")] = msgspec.field(name="from")
    end: Annotated[Minute, Meta(description="A whole minute, the first that is not part of the range.")] = (
        msgspec.field(name="to")
    )
    customer_id: Annotated[
        tuple[str, ...],
        Meta(
            max_length=CUSTOMERS,
            description="Only these customers, repeated or separated by commas. A comma inside an id is `\\,`.",
            extra=rule(_customers_rule),
        ),
    ] = ()
    window: Annotated[
        Window,
        Meta(
            description="One row for each window; `none`: one for the whole range. A range has at most 600,000 "
            "minutes, 100,000 hours or 20,000 days, and 20,000 windows whose lengths differ."
        ),
    ] = Window.NONE
    timezone: Annotated[ZoneName, Meta(description="The time zone of days and months.", extra=rule(_zone_rule))] = "UTC"
    group_by: Annotated[tuple[str, ...], Meta(description="Group keys of the meter to group by.")] = ()
    filter: Annotated[
        dict[str, GroupValues],
        Meta(description="`filter[model]=gpt-4`: only rows of that group; an empty value selects events without it."),
    ] = {}
    top: Annotated[
        Annotated[int, Meta(ge=1, le=LARGEST_TOP)] | None,
        Meta(description="Only the customers with the largest values."),
    ] = None
    limit: Annotated[int, Meta(ge=1, le=LARGEST_PAGE, description="Rows per page, at most.")] = PAGE
    cursor: Annotated[str | None, Meta(description="`next_cursor` of the previous page.")] = None


class UsageDocument(msgspec.Struct, kw_only=True):
    """The usage of one customer in one window."""

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


def usage_document(row: UsageRow) -> dict[str, Any]:
    return {
        "meter": row.meter,
        "customer_id": row.customer_id,
        "window_start": to_iso(row.window_start),
        "window_end": to_iso(row.window_end),
        "group": row.group,
        "value": to_text(row.value),
    }


def watermark_document(watermark: Watermark) -> dict[str, int]:
    """Partition → the last flush done; JSON names are text."""
    return {str(partition): flush for partition, flush in sorted(watermark.flushes.items())}


CSV = b"text/csv"
PARQUET = b"application/vnd.apache.parquet"


class UsageRoutes:
    """Queries usage; each response is exact at the watermark that it states."""

    def __init__(self, usage: UsageQueries, meters: MeterCatalog, clock: Callable[[], int]) -> None:
        self._usage = usage
        self._meters = meters
        self._clock = clock

    def routes(self) -> list[Route]:
        description = Description(
            "Query usage, exact at the watermark that the response states",
            query_type=UsageParameters,
            response_type=UsagePage,
            details="By `Accept` also as CSV or Parquet: the rows alone; the next page's cursor is in `X-Next-Cursor`.",
            operation_id="get_usage",
            other_responses={CSV.decode(): Csv, PARQUET.decode(): Parquet},
            error_statuses=(404, 406, 422),
        )
        return [Route("GET", "/v1/usage", Scope.READ, self.usage, description)]

    async def usage(self, request: Request) -> Response:
        parameters = request.read_parameters(UsageParameters)
        media_type = negotiate(request.headers.get(b"accept"), (JSON, CSV, PARQUET))
        query = usage_query(parameters, request.account, await self._meters.get(request.account, parameters.meter))
        as_of = self._clock()
        result = await self._usage.usage(query)
        # In a thread: a page has up to 10,000 rows, and the event loop serves other requests meanwhile.
        if media_type == JSON:
            return await asyncio.to_thread(_json, request, result, as_of)
        return await asyncio.to_thread(_file, result, query.group_by, media_type)


def _json(request: Request, answer: UsageResult, as_of: int) -> Response:
    return request.success(
        usage=[usage_document(row) for row in answer.rows],
        watermark=watermark_document(answer.watermark),
        as_of=to_iso(as_of),
        pagination=pagination(answer.next_cursor),
    )


def _file(answer: UsageResult, groups: tuple[str, ...], media_type: bytes) -> Response:
    """The rows alone; the header `X-Next-Cursor` holds the cursor of the next page."""
    render = render_csv if media_type == CSV else render_parquet
    headers = [] if answer.next_cursor is None else [(b"x-next-cursor", answer.next_cursor.encode())]
    return Response(200, render(answer.rows, groups), media_type, headers)


def usage_query(parameters: UsageParameters, account: AccountId, meter: Meter) -> UsageQuery:
    """Raises Invalid for a range that is not one of whole minutes, and for groups that the meter does not have."""
    start, end = _range(parameters)
    return UsageQuery(
        account=account,
        meter=meter,
        start=start,
        end=end,
        customers=parameters.customer_id,
        window=parameters.window,
        timezone=parameters.timezone,
        group_by=_groups(parameters, meter),
        groups=_filters(parameters, meter),
        top=parameters.top,
        after=parameters.cursor,
        limit=parameters.limit,
    )


def _range(parameters: UsageParameters) -> tuple[int, int]:
    start, end = parameters.start, parameters.end
    for name, timestamp in (("from", start), ("to", end)):
        if timestamp % MINUTE:
            raise Invalid(f"{name}: usage is kept by the minute; give a whole one, without seconds", field=name)
    if start >= end:
        raise Invalid("to: the range must end after it begins; 'to' itself is not part of it", field="to")
    return start, end


def _groups(parameters: UsageParameters, meter: Meter) -> tuple[str, ...]:
    for group in parameters.group_by:
        _check_group(group, meter, "group_by")
    return parameters.group_by


def _filters(parameters: UsageParameters, meter: Meter) -> dict[str, tuple[str | None, ...]]:
    """An empty value selects events without that property."""
    for group in parameters.filter:
        _check_group(group, meter, f"filter[{group}]")
    return {group: tuple(value or None for value in values) for group, values in parameters.filter.items()}


def _check_group(group: str, meter: Meter, field: str) -> None:
    if group not in meter.group_by:
        message = did_you_mean(f"group in the meter {meter.code!r}", group, tuple(meter.group_by))
        raise Invalid(f"{field}: {group[:60]!r}: {message}", field=field)
