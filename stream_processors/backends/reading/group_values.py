"""Group values of usage rows: decoding, encoding, and filtering by them."""

from collections.abc import Mapping, Sequence

import msgspec

from schemas.errors import Invalid
from schemas.meter import Meter

GroupValues = Sequence[str | None]


def group_index(meter: Meter, key: str, field: str = "group_by") -> int:
    """The index of the key's value among the group values. Raises Invalid, which lists the meter's keys."""
    keys = list(meter.group_by)
    if key not in keys:
        known = f"its keys are {', '.join(keys)}" if keys else "it has no group keys"
        raise Invalid(f"{field}: meter {meter.code} is not grouped by {key!r}; {known}", field=field)
    return keys.index(key)


def read_groups(text: str) -> GroupValues:
    """Decodes the value of a `grp` column."""
    return msgspec.json.decode(text, type=list[str | None])


def write_groups(values: GroupValues) -> str:
    """Encodes the value of a `grp` column."""
    return msgspec.json.encode(values).decode()


def matches_groups(values: GroupValues, meter: Meter, wanted: Mapping[str, Sequence[str | None]]) -> bool:
    """Whether each key in `wanted` has one of its wanted values."""
    return all(values[group_index(meter, key, "filter")] in allowed for key, allowed in wanted.items())
