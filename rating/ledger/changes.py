"""Requests to change something, of which only what is given counts."""

from typing import Any

import msgspec


def set_fields(changes: msgspec.Struct) -> dict[str, Any]:
    """The fields that are set, by name; None is a value."""
    fields = ((name, getattr(changes, name)) for name in changes.__struct_fields__)
    return {name: value for name, value in fields if value is not msgspec.UNSET}
