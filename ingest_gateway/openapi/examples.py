"""Complete examples of any record, made of samples and valid for the record's type."""

from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from ingest_gateway.openapi.samples import FIELDS, ID, RECORDS


def example_of(kind: Any) -> Any:
    """The example as JSON; shared, so callers must not change it."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _of_record(kind)
    return _of(inspect.type_info(kind))


def _of(kind: inspect.Type) -> Any:
    match kind:
        case inspect.Metadata():
            given = (kind.extra_json_schema or {}).get("examples")
            return given[0] if given else _of(kind.type)
        case inspect.UnionType():
            return _of(next(each for each in kind.types if not isinstance(each, inspect.NoneType)))
        case inspect.StructType():
            return _of_record(kind.cls)
        case inspect.ListType() | inspect.VarTupleType() | inspect.SetType() | inspect.FrozenSetType():
            return [_of(kind.item_type)]
        case inspect.DictType():
            return {_of(kind.key_type): _of(kind.value_type)}
        case inspect.EnumType():
            return next(iter(kind.cls)).value
        case inspect.LiteralType():
            return kind.values[0]
        case _:
            return _PLAIN[type(kind)]


@cache
def _of_record(record: type[msgspec.Struct]) -> Any:
    """Cached, because records contain each other."""
    if record.__name__ in RECORDS:
        return RECORDS[record.__name__]
    config = record.__struct_config__
    tag = {} if config.tag_field is None else {config.tag_field: config.tag}
    return tag | {field.encode_name: _of_field(record, field) for field in msgspec.structs.fields(record)}


def _of_field(record: type, field: msgspec.structs.FieldInfo) -> Any:
    for name in (f"{record.__name__}.{field.encode_name}", field.encode_name):
        if name in FIELDS and _fits(FIELDS[name], field.type):
            return FIELDS[name]
    if field.encode_name.endswith("_id") and _fits(ID, field.type):
        return ID
    return example_of(field.type)


def _fits(sample: Any, kind: Any) -> bool:
    try:
        msgspec.convert(sample, kind)
    except msgspec.ValidationError:
        return False
    return True


_PLAIN: dict[type[inspect.Type], Any] = {
    inspect.StrType: "2026-11-21T10:30:00Z",
    inspect.DateTimeType: "2026-11-21T10:30:00Z",
    inspect.IntType: 1,
    inspect.FloatType: 0.5,
    inspect.BoolType: True,
    inspect.DecimalType: "12.50",
    inspect.AnyType: "eu",
    inspect.NoneType: None,
}
"""Most texts without a sample of their own are times."""
