"""The properties of a batch: read together, kept as posted."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from ingest_gateway.ingest.json_structure import count
from ingest_gateway.ingest.packed_strings import PackedStrings, pack_encoded
from schemas.event import MAX_PROPERTIES_BYTES, PROPERTIES_DEPTH

EMPTY = b"{}"

_decode = msgspec.json.Decoder(list[dict[str, Any] | None]).decode
_OPENING = np.zeros(256, np.uint8)
_OPENING[[ord("["), ord("{")]] = 1


class Properties(msgspec.Struct, frozen=True):
    """Of each event the text as posted and its value. No properties, null and {} are the same."""

    texts: PackedStrings
    values: list[dict[str, Any]]

    def fits(self) -> bool:
        """Is each of them surely small and flat enough? False is only a doubt."""
        return self.texts.longest <= MAX_PROPERTIES_BYTES and self._most_opened() <= PROPERTIES_DEPTH

    def _most_opened(self) -> int:
        """The most brackets any event opens: nothing nests deeper than that."""
        text = self.texts.joined
        nested = count(text, "{") + count(text, "[") - len(self.texts)
        if nested < PROPERTIES_DEPTH:
            return 1 + nested
        opened = _OPENING[np.frombuffer(text, np.uint8)]
        starts = np.concatenate(([0], np.cumsum(self.texts.lengths[:-1])))
        return int(np.add.reduceat(opened, starts, dtype=np.int64).max())


def read_properties(texts: Sequence[msgspec.Raw]) -> Properties:
    """Raises where any of them is not a JSON object, or holds what JSON readers disagree about."""
    present: list[msgspec.Raw | bytes] = [text or EMPTY for text in texts]
    values = _decode(b"[" + b",".join(present) + b"]")
    objects = [value for value in values if value is not None]
    if len(objects) < len(values):
        present = [EMPTY if value is None else text for text, value in zip(present, values, strict=True)]
        objects = [value or {} for value in values]
    return Properties(pack_encoded(present), objects)
