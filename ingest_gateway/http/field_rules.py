"""Rules that a field's type cannot state, attached to the type and checked when its record is read."""

import types
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, Protocol, Union, get_args, get_origin

import msgspec
from msgspec import Meta, UnsetType

from schemas.moments import read_value

Rule = Callable[[Any, Mapping[str, Any]], str | None]
"""From a value and the object that holds it to what is wrong with the value, or None. A missing value is None."""

_EXTRA = "rule"


class Errors(Protocol):
    """Collects the errors of one document."""

    def add(self, field: str, message: str) -> None: ...


def rule(check: Rule) -> dict[str, Rule]:
    """For a type: `Annotated[str, Meta(extra=rule(check))]`. The description of the API does not show it."""
    return {_EXTRA: check}


def rule_of(kind: Any) -> Rule | None:
    """The rule of this very type, not of a type inside it; the outermost if there are several."""
    extras = [meta.extra for meta in _metadata(kind) if isinstance(meta, Meta) and meta.extra]
    return next((extra[_EXTRA] for extra in reversed(extras) if _EXTRA in extra), None)


@cache
def has_rules(kind: Any) -> bool:
    """Whether this type, or any type inside it, has a rule."""
    bare = _bare(kind)
    inner = [field.type for field in msgspec.structs.fields(bare)] if _is_struct(bare) else get_args(bare)
    return rule_of(kind) is not None or any(has_rules(each) for each in inner)


def check_fields(document: Mapping[str, Any], kind: type[msgspec.Struct], errors: Errors, at: str = "") -> None:
    """Adds an error for each known field that breaks its rule, however deep; `at` is the document's own path."""
    for field in msgspec.structs.fields(kind):
        path = f"{at}.{field.encode_name}" if at else field.encode_name
        if field.encode_name in document:
            _check(document[field.encode_name], field.type, path, document, errors)
            continue
        own = rule_of(field.type)
        message = own(None, document) if own is not None else "is required" if field.required else None
        if message is not None:
            errors.add(path, message)


def _check(value: Any, kind: Any, at: str, owner: Mapping[str, Any], errors: Errors) -> None:
    own = rule_of(kind)
    message = None if own is None else own(value, owner)
    if message is not None:
        errors.add(at, message)
        return
    bare = _bare(kind)
    if get_origin(bare) in (Union, types.UnionType):
        _check_union(value, bare, at, owner, errors)
    elif _is_struct(bare) and isinstance(value, dict):
        check_fields(value, bare, errors, at)
    elif get_origin(bare) is list and isinstance(value, list):
        for index, item in enumerate(value):
            _check(item, get_args(bare)[0], f"{at}[{index}]", owner, errors)
    elif get_origin(bare) is dict and isinstance(value, dict):
        _check_entries(value, bare, at, errors)
    else:
        _convert(value, kind, at, errors)


def _check_union(value: Any, union: Any, at: str, owner: Mapping[str, Any], errors: Errors) -> None:
    kinds = get_args(union)
    if value is None and types.NoneType in kinds:
        return
    others = [kind for kind in kinds if kind not in (types.NoneType, UnsetType)]
    if len(others) == 1:
        _check(value, others[0], at, owner, errors)
    else:
        _convert(value, union, at, errors)


def _check_entries(value: dict[str, Any], kind: Any, at: str, errors: Errors) -> None:
    key_kind, value_kind = get_args(kind)
    key_rule = rule_of(key_kind)
    for key, inner in value.items():
        message = None if key_rule is None else key_rule(key, value)
        if message is not None:
            errors.add(at, message)
        else:
            _check(inner, value_kind, f"{at}.{key}", value, errors)


def _convert(value: Any, kind: Any, at: str, errors: Errors) -> None:
    try:
        read_value(value, kind)
    except msgspec.ValidationError as error:
        errors.add(at, str(error).replace("`", ""))


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _metadata(kind: Any) -> tuple[Any, ...]:
    return get_args(kind)[1:] if get_origin(kind) is Annotated else ()


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind
