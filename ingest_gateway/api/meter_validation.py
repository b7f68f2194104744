"""Reads a posted meter: every mistake is told at once, each with its field."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from ingest_gateway.http.mistakes import Mistakes
from ingest_gateway.http.nearest import hint
from ingest_gateway.ports import NewMeter
from schemas.errors import Invalid
from schemas.event import NAME_LENGTH
from schemas.meter import Aggregation, Filter, FilterOp
from schemas.property_path import parse_path
from schemas.quantity import LARGEST

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


def read_new_meter(document: dict[str, Any]) -> NewMeter:
    """Raises Invalid with every mistake."""
    mistakes = Mistakes()
    _check_names(document, FIELDS, mistakes)
    aggregation = _aggregation(document, mistakes)
    meter = NewMeter(
        code=_code(document, mistakes),
        name=_text(document, "name", NAME_LENGTH, mistakes) or "",
        event_name=_text(document, "event_name", NAME_LENGTH, mistakes) or "",
        aggregation=aggregation or "",
        value_property=_value_property(document, aggregation, mistakes),
        group_by=_groups(document.get("group_by"), mistakes),
        filters=_filters(document.get("filters"), mistakes),
        unit=_text(document, "unit", UNIT_LENGTH, mistakes, optional=True),
    )
    mistakes.finish()
    return meter


def read_changes(document: dict[str, Any]) -> dict[str, str | None]:
    """What PATCH may change. Raises Invalid with every mistake."""
    mistakes = Mistakes()
    for name in document.keys() & set(FIELDS) - set(CHANGEABLE):
        mistakes.add(name, "cannot be changed, for past usage was counted with it; create another meter instead")
    _check_names(document, FIELDS, mistakes)
    if not document:
        mistakes.add("name", "nothing to change; give name, unit, or both")
    changes: dict[str, str | None] = {}
    if "name" in document:
        changes["name"] = _text(document, "name", NAME_LENGTH, mistakes)
    if "unit" in document:
        changes["unit"] = _text(document, "unit", UNIT_LENGTH, mistakes, optional=True)
    mistakes.finish()
    return changes


def _check_names(document: dict[str, Any], known: tuple[str, ...], mistakes: Mistakes, prefix: str = "") -> None:
    for name in document:
        if name not in known:
            mistakes.add(prefix + name[:NAME_LENGTH], hint("field", name[:NAME_LENGTH], known))


def _text(
    document: dict[str, Any], field: str, length: int, mistakes: Mistakes, *, optional: bool = False
) -> str | None:
    value = document.get(field)
    if value is None and optional:
        return None
    if value is None:
        mistakes.add(field, "is required")
    elif not isinstance(value, str) or not 1 <= len(value) <= length:
        mistakes.add(field, f"expected a text of 1 to {length} characters; got {_shown(value)}")
    elif _CONTROL.search(value):
        mistakes.add(field, "holds a control character; leave it out")
    else:
        return value
    return None


def _code(document: dict[str, Any], mistakes: Mistakes) -> str:
    code = _text(document, "code", CODE_LENGTH, mistakes)
    if code is not None and _CODE.fullmatch(code) is None:
        mistakes.add("code", f"expected lower-case words joined by '_', such as tokens_in; got {_shown(code)}")
    return code or ""


def _aggregation(document: dict[str, Any], mistakes: Mistakes) -> Aggregation | None:
    value = document.get("aggregation")
    if isinstance(value, str) and value in set(Aggregation):
        return Aggregation(value)
    mistakes.add("aggregation", f"expected one of {', '.join(Aggregation)}; got {_shown(value)}")
    return None


def _value_property(document: dict[str, Any], aggregation: Aggregation | None, mistakes: Mistakes) -> str | None:
    value = document.get("value_property")
    if aggregation is Aggregation.COUNT:
        if value is not None:
            mistakes.add("value_property", "count needs none: it counts events; leave it out, or use sum")
        return None
    if value is None and aggregation is not None:
        mistakes.add("value_property", f"{aggregation.value} needs one, such as $.tokens")
    return None if value is None else _path(value, "value_property", mistakes)


def _path(value: Any, field: str, mistakes: Mistakes) -> str:
    if not isinstance(value, str) or len(value) > PATH_LENGTH:
        mistakes.add(field, f"expected a property path such as $.tokens, up to {PATH_LENGTH} characters long")
        return ""
    try:
        parse_path(value, field)
    except Invalid as refusal:
        mistakes.add_refusal(refusal, field)
    return value


def _groups(value: Any, mistakes: Mistakes) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > GROUPS:
        mistakes.add("group_by", f'expected an object of up to {GROUPS} entries, such as {{"model": "$.model"}}')
        return {}
    groups: dict[str, str] = {}
    for key, path in value.items():
        if len(key) > CODE_LENGTH or _GROUP.fullmatch(key) is None:
            mistakes.add(
                "group_by", f"a group key is a name such as model, up to {CODE_LENGTH} characters; got {key!r}"
            )
        else:
            groups[key] = _path(path, f"group_by.{key}", mistakes)
    return groups


def _filters(value: Any, mistakes: Mistakes) -> tuple[Filter, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > FILTERS:
        mistakes.add("filters", f"expected a list of up to {FILTERS} filters")
        return ()
    return tuple(_filter(given, f"filters[{index}]", mistakes) for index, given in enumerate(value))


def _filter(given: Any, field: str, mistakes: Mistakes) -> Filter:
    nothing = Filter(property="", op=FilterOp.EXISTS, value=True)
    if not isinstance(given, dict):
        mistakes.add(field, 'expected an object such as {"property": "$.region", "op": "eq", "value": "eu"}')
        return nothing
    _check_names(given, ("property", "op", "value"), mistakes, f"{field}.")
    path = _path(given.get("property"), f"{field}.property", mistakes)
    op = given.get("op")
    if not isinstance(op, str) or op not in set(FilterOp):
        mistakes.add(f"{field}.op", f"expected one of {', '.join(FilterOp)}; got {_shown(op)}")
        return nothing
    return Filter(property=path, op=FilterOp(op), value=_filter_value(FilterOp(op), given, f"{field}.value", mistakes))


def _filter_value(op: FilterOp, given: dict[str, Any], field: str, mistakes: Mistakes) -> Any:
    value = given.get("value", True if op is FilterOp.EXISTS else None)
    expected = _EXPECTED.get(op, _SCALAR)
    if ("value" not in given and op is not FilterOp.EXISTS) or not expected[0](value):
        mistakes.add(field, f"{op.value} compares with {expected[1]}; got {_shown(value)}")
        return None
    return value


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return False
    return abs(Decimal(value)) < LARGEST


def _is_scalar(value: Any) -> bool:
    return isinstance(value, bool | str) or _is_number(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and 1 <= len(value) <= IN_VALUES and all(map(_is_scalar, value))


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


_NUMBER = (_is_number, f"a number smaller than {LARGEST:.0e}")
_SCALAR = (_is_scalar, "a text, a number, true or false (exists finds missing ones)")
_EXPECTED: dict[FilterOp, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(_ORDERED, _NUMBER),
    FilterOp.IN: (_is_list, f"a list of 1 to {IN_VALUES} texts, numbers, true or false"),
    FilterOp.EXISTS: (_is_flag, "true or false"),
}


def _shown(value: Any) -> str:
    """A value as it may stand in a message: never longer than a line."""
    text = "nothing" if value is None else repr(value) if not isinstance(value, Decimal) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"
