"""Reads a posted meter: every mistake is told at once, each with its field."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from ingest_gateway.http.validation import ValidationErrors, did_you_mean
from ingest_gateway.ports import MeterDefinition
from schemas.errors import Invalid
from schemas.event import MAX_NAME_LENGTH
from schemas.meter import Aggregation, FilterOp, MeterFilter
from schemas.property_path import parse_path
from schemas.quantity import QUANTITY_LIMIT

CODE_LENGTH = 64
UNIT_LENGTH = 64
GROUPS = 16
FILTERS = 32
PATH_LENGTH = 255
IN_VALUES = 100

FIELDS = ("code", "name", "event_name", "aggregation", "value_property", "group_by", "filters", "unit")
CHANGEABLE = ("name", "unit")

_CODE = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*", re.ASCII)
_GROUP = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ORDERED = (FilterOp.GT, FilterOp.GTE, FilterOp.LT, FilterOp.LTE)


def read_new_meter(document: dict[str, Any]) -> MeterDefinition:
    """Raises Invalid with every mistake."""
    errors = ValidationErrors()
    _check_names(document, FIELDS, errors)
    aggregation = _aggregation(document, errors)
    meter = MeterDefinition(
        code=_code(document, errors),
        name=_text(document, "name", MAX_NAME_LENGTH, errors) or "",
        event_name=_text(document, "event_name", MAX_NAME_LENGTH, errors) or "",
        aggregation=aggregation or "",
        value_property=_value_property(document, aggregation, errors),
        group_by=_groups(document.get("group_by"), errors),
        filters=_filters(document.get("filters"), errors),
        unit=_text(document, "unit", UNIT_LENGTH, errors, optional=True),
    )
    errors.raise_if_any()
    return meter


def read_changes(document: dict[str, Any]) -> dict[str, str | None]:
    """What PATCH may change. Raises Invalid with every mistake."""
    errors = ValidationErrors()
    for name in document.keys() & set(FIELDS) - set(CHANGEABLE):
        errors.add(name, "cannot be changed, for past usage was counted with it; create another meter instead")
    _check_names(document, FIELDS, errors)
    if not document:
        errors.add("name", "nothing to change; give name, unit, or both")
    changes: dict[str, str | None] = {}
    if "name" in document:
        changes["name"] = _text(document, "name", MAX_NAME_LENGTH, errors)
    if "unit" in document:
        changes["unit"] = _text(document, "unit", UNIT_LENGTH, errors, optional=True)
    errors.raise_if_any()
    return changes


def _check_names(document: dict[str, Any], known: tuple[str, ...], errors: ValidationErrors, prefix: str = "") -> None:
    for name in document:
        if name not in known:
            errors.add(prefix + name[:MAX_NAME_LENGTH], did_you_mean("field", name[:MAX_NAME_LENGTH], known))


def _text(
    document: dict[str, Any], field: str, length: int, errors: ValidationErrors, *, optional: bool = False
) -> str | None:
    value = document.get(field)
    if value is None and optional:
        return None
    if value is None:
        errors.add(field, "is required")
    elif not isinstance(value, str) or not 1 <= len(value) <= length:
        errors.add(field, f"expected a text of 1 to {length} characters; got {_abbreviated(value)}")
    elif _CONTROL.search(value):
        errors.add(field, "holds a control character; leave it out")
    else:
        return value
    return None


def _code(document: dict[str, Any], errors: ValidationErrors) -> str:
    code = _text(document, "code", CODE_LENGTH, errors)
    if code is not None and _CODE.fullmatch(code) is None:
        errors.add("code", f"expected lower-case words joined by '_', such as tokens_in; got {_abbreviated(code)}")
    return code or ""


def _aggregation(document: dict[str, Any], errors: ValidationErrors) -> Aggregation | None:
    value = document.get("aggregation")
    if isinstance(value, str) and value in set(Aggregation):
        return Aggregation(value)
    errors.add("aggregation", f"expected one of {', '.join(Aggregation)}; got {_abbreviated(value)}")
    return None


def _value_property(document: dict[str, Any], aggregation: Aggregation | None, errors: ValidationErrors) -> str | None:
    value = document.get("value_property")
    if aggregation is Aggregation.COUNT:
        if value is not None:
            errors.add("value_property", "count needs none: it counts events; leave it out, or use sum")
        return None
    if value is None and aggregation is not None:
        errors.add("value_property", f"{aggregation.value} needs one, such as $.tokens")
    return None if value is None else _path(value, "value_property", errors)


def _path(value: Any, field: str, errors: ValidationErrors) -> str:
    if not isinstance(value, str) or len(value) > PATH_LENGTH:
        errors.add(field, f"expected a property path such as $.tokens, up to {PATH_LENGTH} characters long")
        return ""
    try:
        parse_path(value, field)
    except Invalid as refusal:
        errors.add_error(refusal, field)
    return value


def _groups(value: Any, errors: ValidationErrors) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > GROUPS:
        errors.add("group_by", f'expected an object of up to {GROUPS} entries, such as {{"model": "$.model"}}')
        return {}
    groups: dict[str, str] = {}
    for key, path in value.items():
        if len(key) > CODE_LENGTH or _GROUP.fullmatch(key) is None:
            errors.add("group_by", f"a group key is a name such as model, up to {CODE_LENGTH} characters; got {key!r}")
        else:
            groups[key] = _path(path, f"group_by.{key}", errors)
    return groups


def _filters(value: Any, errors: ValidationErrors) -> tuple[MeterFilter, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > FILTERS:
        errors.add("filters", f"expected a list of up to {FILTERS} filters")
        return ()
    return tuple(_filter(given, f"filters[{index}]", errors) for index, given in enumerate(value))


def _filter(given: Any, field: str, errors: ValidationErrors) -> MeterFilter:
    nothing = MeterFilter(property="", op=FilterOp.EXISTS, value=True)
    if not isinstance(given, dict):
        errors.add(field, 'expected an object such as {"property": "$.region", "op": "eq", "value": "eu"}')
        return nothing
    _check_names(given, ("property", "op", "value"), errors, f"{field}.")
    path = _path(given.get("property"), f"{field}.property", errors)
    op = given.get("op")
    if not isinstance(op, str) or op not in set(FilterOp):
        errors.add(f"{field}.op", f"expected one of {', '.join(FilterOp)}; got {_abbreviated(op)}")
        return nothing
    return MeterFilter(
        property=path, op=FilterOp(op), value=_filter_value(FilterOp(op), given, f"{field}.value", errors)
    )


def _filter_value(op: FilterOp, given: dict[str, Any], field: str, errors: ValidationErrors) -> Any:
    value = given.get("value", True if op is FilterOp.EXISTS else None)
    expected = _EXPECTED.get(op, _SCALAR)
    if ("value" not in given and op is not FilterOp.EXISTS) or not expected[0](value):
        errors.add(field, f"{op.value} compares with {expected[1]}; got {_abbreviated(value)}")
        return None
    return value


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
    """A value as it may stand in a message: never longer than a line."""
    text = "nothing" if value is None else repr(value) if not isinstance(value, Decimal) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"
