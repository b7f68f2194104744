"""Meters as requests and answers hold them. `new_meter` reads the requests; a test holds the two together."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ingest_gateway.api.meter_validation import CODE_LENGTH, FILTERS, GROUPS, IN_VALUES, PATH_LENGTH, UNIT_LENGTH
from ingest_gateway.http.answers import Listed, Success
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
