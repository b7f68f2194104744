"""Meters in requests and responses: the records, the rules between their fields, and the documents."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import orjson
from msgspec import UNSET, Meta, UnsetType

from ingest_gateway.http.envelope import Listed, Success
from ingest_gateway.http.field_rules import Rule, rule
from ingest_gateway.http.validation import ValidationErrors, read_record
from ingest_gateway.ports import MeterDefinition
from schemas.errors import Invalid
from schemas.event import MAX_NAME_LENGTH
from schemas.field_types import END, PRINTABLE, Code, Name
from schemas.meter import Aggregation, FilterOp, Meter, MeterFilter
from schemas.property_path import parse_path
from schemas.quantity import QUANTITY_LIMIT
from schemas.timestamps import to_iso
from schemas.usage import BackfillStatus

CODE_LENGTH = 64
UNIT_LENGTH = 64
GROUPS = 16
FILTERS = 32
PATH_LENGTH = 255
IN_VALUES = 100

_CODE = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*", re.ASCII)
_GROUP_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ORDERED = (FilterOp.GT, FilterOp.GTE, FilterOp.LT, FilterOp.LTE)


def _text_rule(longest: int) -> Rule:
    def check(value: Any, _owner: Mapping[str, Any]) -> str | None:
        if value is None:
            return "is required"
        if not isinstance(value, str) or not 1 <= len(value) <= longest:
            return f"expected a text of 1 to {longest} characters; got {_abbreviated(value)}"
        if _CONTROL.search(value):
            return "holds a control character; leave it out"
        return None

    return check


def _code_rule(value: Any, owner: Mapping[str, Any]) -> str | None:
    message = _text_rule(CODE_LENGTH)(value, owner)
    if message is None and _CODE.fullmatch(value) is None:
        return f"expected lower-case words joined by '_', such as tokens_in; got {_abbreviated(value)}"
    return message


def _aggregation_rule(value: Any, _owner: Mapping[str, Any]) -> str | None:
    return _choice_rule(value, Aggregation)


def _op_rule(value: Any, _owner: Mapping[str, Any]) -> str | None:
    return _choice_rule(value, FilterOp)


def _choice_rule(value: Any, choices: type[Aggregation] | type[FilterOp]) -> str | None:
    if isinstance(value, str) and value in set(choices):
        return None
    return f"expected one of {', '.join(choices)}; got {_abbreviated(value)}"


def _path_rule(value: Any, _owner: Mapping[str, Any]) -> str | None:
    if not isinstance(value, str) or len(value) > PATH_LENGTH:
        return f"expected a property path such as $.tokens, up to {PATH_LENGTH} characters long"
    try:
        parse_path(value, "path")
    except Invalid as error:
        return error.message.removeprefix("path: ")
    return None


def _value_property_rule(value: Any, owner: Mapping[str, Any]) -> str | None:
    aggregation = owner.get("aggregation")
    if aggregation == Aggregation.COUNT:
        return None if value is None else "count needs none: it counts events; leave it out, or use sum"
    is_known = isinstance(aggregation, str) and aggregation in set(Aggregation)
    return f"{aggregation} needs one, such as $.tokens" if value is None and is_known else None


def _group_key_rule(key: str, _owner: Mapping[str, Any]) -> str | None:
    if len(key) > CODE_LENGTH or _GROUP_KEY.fullmatch(key) is None:
        return f"a group key is a name such as model, up to {CODE_LENGTH} characters; got {key!r}"
    return None


def _groups_rule(value: Any, _owner: Mapping[str, Any]) -> str | None:
    if isinstance(value, dict) and len(value) <= GROUPS:
        return None
    return f'expected an object of up to {GROUPS} entries, such as {{"model": "$.model"}}'


def _filters_rule(value: Any, _owner: Mapping[str, Any]) -> str | None:
    is_list = isinstance(value, list) and len(value) <= FILTERS
    return None if is_list else f"expected a list of up to {FILTERS} filters"


def _filter_rule(value: Any, _owner: Mapping[str, Any]) -> str | None:
    is_object = isinstance(value, dict)
    return None if is_object else 'expected an object such as {"property": "$.region", "op": "eq", "value": "eu"}'


def _filter_value_rule(value: Any, owner: Mapping[str, Any]) -> str | None:
    op = owner.get("op")
    if not isinstance(op, str) or op not in set(FilterOp):
        return None
    if "value" not in owner and op == FilterOp.EXISTS:
        return None
    is_right, expected = _EXPECTED.get(FilterOp(op), _SCALAR)
    return None if is_right(value) else f"{op} compares with {expected}; got {_abbreviated(value)}"


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return False
    return abs(Decimal(value)) < QUANTITY_LIMIT


def _is_scalar(value: Any) -> bool:
    return isinstance(value, bool | str) or _is_number(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and 1 <= len(value) <= IN_VALUES and all(map(_is_scalar, value))


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


_NUMBER = (_is_number, f"a number smaller than {QUANTITY_LIMIT:.0e}")
_SCALAR = (_is_scalar, "a text, a number, true or false (exists finds missing ones)")
_EXPECTED: dict[FilterOp, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(_ORDERED, _NUMBER),
    FilterOp.IN: (_is_list, f"a list of 1 to {IN_VALUES} texts, numbers, true or false"),
    FilterOp.EXISTS: (_is_flag, "true or false"),
}


def _abbreviated(value: Any) -> str:
    """A value as a message shows it, at most 58 characters."""
    text = "nothing" if value is None else repr(value) if not isinstance(value, Decimal) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"


_PATH = Meta(min_length=2, max_length=PATH_LENGTH, pattern=r"^\$[.\[]", examples=["$.tokens"], extra=rule(_path_rule))
PropertyPath = Annotated[str, _PATH]
MeterName = Annotated[Name, Meta(extra=rule(_text_rule(MAX_NAME_LENGTH)))]
_UNIT = Meta(
    min_length=1, max_length=UNIT_LENGTH, pattern=PRINTABLE, examples=["token"], extra=rule(_text_rule(UNIT_LENGTH))
)
Unit = Annotated[str, _UNIT]
_GROUP_KEY_TEXT = Meta(max_length=CODE_LENGTH, pattern="^[A-Za-z_][A-Za-z0-9_]*" + END, extra=rule(_group_key_rule))
GroupKey = Annotated[str, _GROUP_KEY_TEXT]
_Scalar = str | bool | int | float
# A number stays a Decimal with every digit, which msgspec reads as no type of this union: hence Any, and the schema.
_FILTER_VALUE = Meta(
    extra_json_schema={
        "description": "`in` takes a list; `gt`, `gte`, `lt`, `lte` a number; `exists` true, false or nothing.",
        **msgspec.json.schema(_Scalar | Annotated[list[_Scalar], Meta(min_length=1, max_length=IN_VALUES)]),
    },
    extra=rule(_filter_value_rule),
)


class FilterRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A condition on one property of the events to count. JSON types matter: "5" is not 5."""

    property: PropertyPath
    op: Annotated[FilterOp, Meta(extra=rule(_op_rule))]
    value: Annotated[Any, _FILTER_VALUE] = UNSET


_Filters = list[Annotated[FilterRequest, Meta(extra=rule(_filter_rule))]]


class MeterRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to create a meter."""

    code: Annotated[
        Code, Meta(description="The meter's permanent name; no other meter ever has it.", extra=rule(_code_rule))
    ]
    name: MeterName
    event_name: Annotated[MeterName, Meta(description="The name of the events to count.")]
    aggregation: Annotated[Aggregation, Meta(extra=rule(_aggregation_rule))]
    value_property: Annotated[
        PropertyPath | None,
        Meta(
            description="The property to aggregate; `count` takes none, every other aggregation needs one.",
            extra=rule(_value_property_rule),
        ),
    ] = None
    group_by: Annotated[
        Annotated[dict[GroupKey, PropertyPath], Meta(max_length=GROUPS, extra=rule(_groups_rule))] | None,
        Meta(description="Group key to property; usage can be grouped and filtered by the keys."),
    ] = None
    filters: Annotated[_Filters, Meta(max_length=FILTERS, extra=rule(_filters_rule))] | None = None
    unit: Unit | None = None


class MeterChanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A partial update with at least one of the fields."""

    name: MeterName | UnsetType = UNSET
    unit: Unit | UnsetType | None = UNSET


def read_new_meter(document: dict[str, Any]) -> MeterDefinition:
    """Raises Invalid with every error."""
    request = read_record(document, MeterRequest)
    return MeterDefinition(
        code=request.code,
        name=request.name,
        event_name=request.event_name,
        aggregation=request.aggregation,
        value_property=request.value_property,
        group_by=request.group_by or {},
        filters=tuple(_filter(condition) for condition in request.filters or ()),
        unit=request.unit,
    )


def _filter(condition: FilterRequest) -> MeterFilter:
    value = True if condition.value is UNSET else condition.value
    return MeterFilter(property=condition.property, op=condition.op, value=value)


def read_changes(document: dict[str, Any]) -> dict[str, str | None]:
    """The changes of a PATCH. Raises Invalid with every error."""
    errors = ValidationErrors()
    fixed = {*MeterRequest.__struct_fields__} - {*MeterChanges.__struct_fields__}
    for name in filter(fixed.__contains__, document):
        errors.add(name, "cannot be changed, for past usage was counted with it; create another meter instead")
    if not document:
        errors.add("name", "nothing to change; give name, unit, or both")
    changeable = {name: value for name, value in document.items() if name not in fixed}
    changes = msgspec.structs.asdict(read_record(changeable, MeterChanges, errors))
    return {name: value for name, value in changes.items() if value is not UNSET}


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
    version: Annotated[int, Meta(description="The first meter set with this meter.")]
    archived: bool
    created_at: str


class BackfillDocument(msgspec.Struct, kw_only=True):
    """The progress of counting past events."""

    done: bool
    chunks_done: int
    chunks_total: Annotated[int | None, Meta(description="null until the end of the past is known.")]


class CountingMeterDocument(MeterDocument, kw_only=True):
    """A meter with the progress of its backfill."""

    backfill: BackfillDocument


class OneMeter(Success, kw_only=True):
    """One meter."""

    meter: MeterDocument


class CountingMeter(Success, kw_only=True):
    """One meter with the progress of its backfill."""

    meter: CountingMeterDocument


class MeterPage(Listed, kw_only=True):
    """One page of meters, oldest first."""

    meters: list[MeterDocument]


def meter_document(meter: Meter) -> dict[str, Any]:
    return {
        "code": meter.code,
        "name": meter.name,
        "event_name": meter.event_name,
        "aggregation": meter.aggregation.value,
        "value_property": meter.value_property,
        "group_by": meter.group_by,
        "filters": [_filter_document(condition) for condition in meter.filters],
        "unit": meter.unit,
        "version": meter.version,
        "archived": meter.archived_version is not None,
        "created_at": to_iso(meter.created_at),
    }


def _filter_document(condition: MeterFilter) -> dict[str, Any]:
    return {"property": condition.property, "op": condition.op.value, "value": _json_value(condition.value)}


def _json_value(value: Any) -> Any:
    """A number keeps every digit of the request."""
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    return [_json_value(item) for item in value] if isinstance(value, list | tuple) else value


def backfill_document(backfill: BackfillStatus) -> dict[str, Any]:
    return {
        "done": backfill.done,
        "chunks_done": backfill.chunks_done,
        "chunks_total": backfill.chunks_total,
    }
