"""The columns that meters need, read from the properties of many events."""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import pyarrow as pa

from schemas.property_path import PathSteps
from stream_processors.core.property_decoder import Value, decoder_for

CHUNK = 2048
"""Events decoded in one call. The call holds the interpreter lock, so it must stay well below a millisecond."""


class PropertyColumn(NamedTuple):
    """One column: the path of a property, and the conversion of its values."""

    path: PathSteps
    convert: Callable[[Sequence[Value]], pa.Array]


Columns = dict[PropertyColumn, pa.Array]


def read_columns(properties: pa.Array, property_columns: Collection[PropertyColumn]) -> Columns:
    """Each column as one array, in the order of the events. Every JSON text is decoded once."""
    if not property_columns:
        return {}
    decoder = decoder_for(frozenset(column.path[0] for column in property_columns))
    by_path = _by_path(property_columns)
    parts: dict[PropertyColumn, list[pa.Array]] = {column: [] for column in property_columns}
    for start in range(0, max(1, len(properties)), CHUNK):
        objects = decoder.decode(properties.slice(start, CHUNK))
        for path, same_path in by_path.items():
            values = decoder.values(objects, path)
            for column in same_path:
                parts[column].append(column.convert(values))
    return {column: pa.concat_arrays(arrays) for column, arrays in parts.items()}


def _by_path(property_columns: Collection[PropertyColumn]) -> dict[PathSteps, list[PropertyColumn]]:
    grouped: dict[PathSteps, list[PropertyColumn]] = {}
    for column in property_columns:
        grouped.setdefault(column.path, []).append(column)
    return grouped
