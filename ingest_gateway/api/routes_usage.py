"""`GET /v1/usage`: exact quantities per customer, window and group."""

from collections.abc import Callable
from zoneinfo import ZoneInfo

from ingest_gateway.api.accept import negotiate
from ingest_gateway.api.documents import usage_document, watermark_document
from ingest_gateway.api.usage_formats import render_csv, render_parquet
from ingest_gateway.api.usage_records import (
    CUSTOMERS,
    LARGEST_PAGE,
    LARGEST_TOP,
    PAGE,
    Csv,
    Parquet,
    UsagePage,
    UsageParameters,
)
from ingest_gateway.http.envelope import JSON, Response, pagination
from ingest_gateway.http.nearest import did_you_mean
from ingest_gateway.http.query import Query
from ingest_gateway.http.request import Description, Request, Route
from ingest_gateway.ports import MeterCatalog, UsageQueries
from schemas.account import Scope
from schemas.errors import Invalid
from schemas.ids import AccountId
from schemas.meter import Meter
from schemas.timestamps import MINUTE, to_iso
from schemas.usage import UsageQuery, UsageResult, Window

CSV = b"text/csv"
PARQUET = b"application/vnd.apache.parquet"


class UsageRoutes:
    """Asks the reader; the answer is exact at the watermark it names."""

    def __init__(self, usage: UsageQueries, meters: MeterCatalog, clock: Callable[[], int]) -> None:
        self._usage = usage
        self._meters = meters
        self._clock = clock

    def routes(self) -> list[Route]:
        description = Description(
            "Ask for usage, exact at the watermark it states",
            query_type=UsageParameters,
            response_type=UsagePage,
            more="By `Accept` also as CSV or Parquet: the rows alone; the next page's cursor is in `X-Next-Cursor`.",
            operation="get_usage",
            other_responses={CSV.decode(): Csv, PARQUET.decode(): Parquet},
            error_statuses=(404, 406),
        )
        return [Route("GET", "/v1/usage", Scope.READ, self.usage, description)]

    async def usage(self, request: Request) -> Response:
        query = request.query(UsageParameters)
        media_type = negotiate(request.header.get(b"accept"), (JSON, CSV, PARQUET))
        meter = await self._meters.get(request.account, query.required("meter", "tokens"))
        asked = read_usage_query(query, request.account, meter)
        as_of = self._clock()
        answer = await self._usage.usage(asked)
        if media_type == JSON:
            return _json(request, answer, as_of)
        return _file(answer, asked.group_by, media_type)


def _json(request: Request, answer: UsageResult, as_of: int) -> Response:
    return request.success(
        usage=[usage_document(row) for row in answer.rows],
        watermark=watermark_document(answer.watermark),
        as_of=to_iso(as_of),
        pagination=pagination(answer.next_cursor),
    )


def _file(answer: UsageResult, groups: tuple[str, ...], media_type: bytes) -> Response:
    """The rows alone; where the next page begins is told in a header."""
    render = render_csv if media_type == CSV else render_parquet
    headers = [] if answer.next_cursor is None else [(b"x-next-cursor", answer.next_cursor.encode())]
    return Response(200, render(answer.rows, groups), media_type, headers)


def read_usage_query(query: Query, account: AccountId, meter: Meter) -> UsageQuery:
    start, end = _range(query)
    return UsageQuery(
        account=account,
        meter=meter,
        start=start,
        end=end,
        customers=_customers(query),
        window=query.choice("window", Window, Window.NONE),
        timezone=_timezone(query.text("timezone") or "UTC"),
        group_by=_groups(query, meter),
        groups=_filters(query, meter),
        top=query.integer("top", 1, LARGEST_TOP),
        after=query.text("cursor"),
        limit=query.limit(PAGE, LARGEST_PAGE),
    )


def _range(query: Query) -> tuple[int, int]:
    for name in ("from", "to"):
        query.required(name, "2026-11-01T00:00:00Z")
    start, end = query.timestamp("from") or 0, query.timestamp("to") or 0
    for name, timestamp in (("from", start), ("to", end)):
        if timestamp % MINUTE:
            raise Invalid(f"{name}: usage is kept by the minute; give a whole one, without seconds", field=name)
    if start >= end:
        raise Invalid("to: the range must end after it begins; 'to' itself is not part of it", field="to")
    return start, end


def _customers(query: Query) -> tuple[str, ...]:
    customers = query.texts("customer_id")
    if len(customers) > CUSTOMERS:
        raise Invalid(f"customer_id: at most {CUSTOMERS} in one request, or none for all of them", field="customer_id")
    return customers


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # an unknown name is a KeyError, a folder's name an OSError
        raise Invalid(
            f"timezone: expected an IANA name such as Europe/Berlin; got {name[:60]!r}", field="timezone"
        ) from None
    return name


def _groups(query: Query, meter: Meter) -> tuple[str, ...]:
    groups = query.texts("group_by")
    for group in groups:
        _check_group(group, meter, "group_by")
    return groups


def _filters(query: Query, meter: Meter) -> dict[str, tuple[str | None, ...]]:
    """`filter[model]=gpt-4`; an empty value stands for events without that property."""
    filters = query.indexed("filter")
    for group in filters:
        _check_group(group, meter, f"filter[{group}]")
    return {group: tuple(value or None for value in values) for group, values in filters.items()}


def _check_group(group: str, meter: Meter, field: str) -> None:
    if group not in meter.group_by:
        message = did_you_mean(f"group in the meter {meter.code!r}", group, tuple(meter.group_by))
        raise Invalid(f"{field}: {group[:60]!r}: {message}", field=field)
