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


def read_columns(properties: pa.Array, readings: Collection[PropertyColumn]) -> Columns:
    """Each column as one array, in the order of the events. Every JSON text is decoded once."""
    if not readings:
        return {}
    decoder = decoder_for(frozenset(reading.path[0] for reading in readings))
    by_path = _by_path(readings)
    parts: dict[PropertyColumn, list[pa.Array]] = {reading: [] for reading in readings}
    for start in range(0, max(1, len(properties)), CHUNK):
        objects = decoder.decode(properties.slice(start, CHUNK))
        for path, wanted in by_path.items():
            values = decoder.values(objects, path)
            for reading in wanted:
                parts[reading].append(reading.convert(values))
    return {reading: pa.concat_arrays(arrays) for reading, arrays in parts.items()}


def _by_path(readings: Collection[PropertyColumn]) -> dict[PathSteps, list[PropertyColumn]]:
    grouped: dict[PathSteps, list[PropertyColumn]] = {}
    for reading in readings:
        grouped.setdefault(reading.path, []).append(reading)
    return grouped
