"""`/v1/meters`: creates, lists, changes and archives meters."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ingest_gateway.api.documents import backfill_document, meter_document
from ingest_gateway.api.meter_validation import (
    CODE_LENGTH,
    FILTERS,
    GROUPS,
    IN_VALUES,
    PATH_LENGTH,
    UNIT_LENGTH,
    read_changes,
    read_new_meter,
)
from ingest_gateway.http.description import Description
from ingest_gateway.http.envelope import Listed, Response, Success, pagination
from ingest_gateway.http.idempotency import applied_response, command_of
from ingest_gateway.http.paging import Paging, paginate
from ingest_gateway.http.request import Request
from ingest_gateway.http.route import Route
from ingest_gateway.ports import MeterCatalog, UsageQueries
from schemas.account import Scope
from schemas.field_types import END, PRINTABLE, Code, Name
from schemas.meter import Aggregation, FilterOp

_LONGEST_PATH = Meta(min_length=2, max_length=PATH_LENGTH, pattern=r"^\$[.\[]", examples=["$.tokens"])
PropertyPath = Annotated[str, _LONGEST_PATH]
Unit = Annotated[str, Meta(min_length=1, max_length=UNIT_LENGTH, pattern=PRINTABLE, examples=["token"])]
GroupKey = Annotated[str, Meta(max_length=CODE_LENGTH, pattern="^[A-Za-z_][A-Za-z0-9_]*" + END)]
Values = Annotated[list[str | bool | int | float], Meta(min_length=1, max_length=IN_VALUES)]


class FilterRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only events whose property compares so are counted. JSON types count: "5" is not 5."""

    property: PropertyPath
    op: FilterOp
    value: Annotated[
        str | bool | int | float | Values | UnsetType,
        Meta(description="`in` takes a list; `gt`, `gte`, `lt`, `lte` a number; `exists` true, false or nothing."),
    ] = UNSET


class MeterRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A meter to be made."""

    code: Annotated[Code, Meta(description="Its name for ever; never used for another one.")]
    name: Name
    event_name: Annotated[Name, Meta(description="Which events it counts.")]
    aggregation: Aggregation
    value_property: Annotated[
        PropertyPath | None, Meta(description="What of an event is counted; `count` takes none, all others need it.")
    ] = None
    group_by: Annotated[
        Annotated[dict[GroupKey, PropertyPath], Meta(max_length=GROUPS)] | None,
        Meta(description="Group key to property: usage can be asked for by these."),
    ] = None
    filters: Annotated[list[FilterRequest], Meta(max_length=FILTERS)] | None = None
    unit: Unit | None = None


class MeterChanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is given is changed; at least one of the two."""

    name: Name | UnsetType = UNSET
    unit: Unit | UnsetType | None = UNSET


class FilterDocument(msgspec.Struct, kw_only=True):
    """A condition on one property."""

    property: str
    op: FilterOp
    value: Any


class MeterDocument(msgspec.Struct, kw_only=True):
    """A meter."""

    code: str
    name: str
    event_name: str
    aggregation: Aggregation
    value_property: str | None
    group_by: dict[str, str]
    filters: list[FilterDocument]
    unit: str | None
    version: Annotated[int, Meta(description="The meter set in which it first counts.")]
    archived: bool
    created_at: str


class BackfillDocument(msgspec.Struct, kw_only=True):
    """How far the count of past events is."""

    done: bool
    chunks_done: int
    chunks_total: Annotated[int | None, Meta(description="null while it is not yet known where the past ends.")]


class CountingMeterDocument(MeterDocument, kw_only=True):
    """A meter, with how far it is."""

    backfill: BackfillDocument


class OneMeter(Success, kw_only=True):
    """One meter."""

    meter: MeterDocument


class CountingMeter(Success, kw_only=True):
    """One meter, with how far its count of past events is."""

    meter: CountingMeterDocument


class MeterPage(Listed, kw_only=True):
    """One page of meters, oldest first."""

    meters: list[MeterDocument]


ALL, ONE = "/v1/meters", "/v1/meters/{code}"


class MeterRoutes:
    """Meters are made and archived by administrators, and shown to readers."""

    def __init__(self, meters: MeterCatalog, usage: UsageQueries) -> None:
        self._meters = meters
        self._usage = usage

    def routes(self) -> list[Route]:
        past = "It counts past events too, each once. What it counts never changes; its code is its own for ever."
        creates = Description(
            "Create a meter", body_type=MeterRequest, response_type=OneMeter, status=201, details=past
        )
        shows = Description("Retrieve a meter, with how far its count of past events is", response_type=CountingMeter)
        renames = Description("Change the name or the unit of a meter", body_type=MeterChanges, response_type=OneMeter)
        kept = "What it counted stays. Archiving twice changes nothing."
        archives = Description(
            "Archive a meter: it counts no more", response_type=OneMeter, details=kept, operation_id="archive_meter"
        )
        return [
            Route("POST", ALL, Scope.ADMIN, self.create, creates),
            Route(
                "GET",
                ALL,
                Scope.READ,
                self.index,
                Description("List meters", query_type=Paging, response_type=MeterPage),
            ),
            Route("GET", ONE, Scope.READ, self.get, shows),
            Route("PATCH", ONE, Scope.ADMIN, self.rename, renames),
            Route("DELETE", ONE, Scope.ADMIN, self.archive, archives),
        ]

    async def create(self, request: Request) -> Response:
        document = await request.document()
        done = await self._meters.create(command_of(request, document), read_new_meter(document))
        location = f"{ALL}/{done.answer.code}"
        return applied_response(request, done, http_status=201, location=location, meter=meter_document(done.answer))

    async def index(self, request: Request) -> Response:
        query = request.query(Paging)
        meters = await self._meters.list(request.account)
        shown, next_cursor = paginate(meters, query.limit(), query.text("cursor"), key=lambda meter: str(meter.version))
        return request.success(meters=[meter_document(meter) for meter in shown], pagination=pagination(next_cursor))

    async def get(self, request: Request) -> Response:
        """With how far its count of past events is."""
        meter = await self._meters.get(request.account, request.path_params["code"])
        backfill = await self._usage.backfill(meter)
        return request.success(meter={**meter_document(meter), "backfill": backfill_document(backfill)})

    async def rename(self, request: Request) -> Response:
        document = await request.document()
        done = await self._meters.rename(
            command_of(request, document), request.path_params["code"], read_changes(document)
        )
        return applied_response(request, done, meter=meter_document(done.answer))

    async def archive(self, request: Request) -> Response:
        done = await self._meters.archive(command_of(request), request.path_params["code"])
        return applied_response(request, done, meter=meter_document(done.answer))
