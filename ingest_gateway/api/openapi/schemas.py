"""JSON Schemas of records: the very types that requests are read by and answers are made of."""

from collections.abc import Sequence
from typing import Any

import msgspec

_TEMPLATE = "#/components/schemas/{name}"


def schema_of(kind: Any) -> dict[str, Any]:
    """Refers to the components."""
    if isinstance(kind, tuple):
        return {"anyOf": [schema_of(each) for each in kind]}
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=_TEMPLATE)
    return schema


def components_of(kinds: Sequence[Any]) -> dict[str, Any]:
    """All records that these are made of, by name."""
    _, components = msgspec.json.schema_components(kinds, ref_template=_TEMPLATE)
    return dict(sorted(components.items()))
