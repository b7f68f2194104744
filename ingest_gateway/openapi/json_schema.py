"""JSON Schemas of the records that read requests and describe responses."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec

from schemas.moments import schema_of_moment

_TEMPLATE = "#/components/schemas/{name}"


def schema_of(kind: Any) -> dict[str, Any]:
    """A schema that refers to components for its records."""
    if isinstance(kind, tuple):
        return {"anyOf": [schema_of(each) for each in kind]}
    return dict(_of_type(kind)) if isinstance(kind, type) else _of(kind)


def _of(kind: Any) -> dict[str, Any]:
    (schema,), _ = msgspec.json.schema_components([kind], schema_hook=schema_of_moment, ref_template=_TEMPLATE)
    return schema


@cache
def _of_type(kind: type) -> dict[str, Any]:
    """Cached, because it inspects every record inside this one."""
    return _of(kind)


def components_of(kinds: Sequence[Any]) -> dict[str, Any]:
    """All records inside these types, by name."""
    _, components = msgspec.json.schema_components(kinds, schema_hook=schema_of_moment, ref_template=_TEMPLATE)
    return dict(sorted(components.items()))
