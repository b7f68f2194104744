"""The properties of a batch: read together, kept as posted."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from schemas.event import PROPERTIES_BYTES, PROPERTIES_DEPTH

EMPTY = b"{}"

_decode = msgspec.json.Decoder(list[dict[str, Any] | None]).decode
_OPENING = np.zeros(256, np.uint8)
_OPENING[[ord("["), ord("{")]] = 1


class Properties(msgspec.Struct, frozen=True):
    """Of each event the text as posted (joined) and its value. No properties, null and {} are the same."""

    text: bytes
    lengths: list[int]
    values: list[dict[str, Any]]

    def fit(self) -> bool:
        """Is each of them surely small and flat enough? False is only a doubt."""
        return max(self.lengths) <= PROPERTIES_BYTES and self._most_opened() <= PROPERTIES_DEPTH

    def _most_opened(self) -> int:
        """The most brackets any event opens: nothing nests deeper than that."""
        nested = self.text.count(b"{") + self.text.count(b"[") - len(self.lengths)
        if nested < PROPERTIES_DEPTH:
            return 1 + nested
        opened = _OPENING[np.frombuffer(self.text, np.uint8)]
        starts = np.cumsum([0, *self.lengths[:-1]])
        return int(np.add.reduceat(opened, starts, dtype=np.int64).max())


def read_properties(texts: Sequence[msgspec.Raw]) -> Properties:
    """Raises where any of them is not a JSON object, or holds what JSON readers disagree about."""
    present: list[msgspec.Raw | bytes] = [text or EMPTY for text in texts]
    values = _decode(b"[" + b",".join(present) + b"]")
    objects = [value for value in values if value is not None]
    if len(objects) < len(values):
        present = [EMPTY if value is None else text for text, value in zip(present, values, strict=True)]
        objects = [value or {} for value in values]
    return Properties(b"".join(present), list(map(len, present)), objects)
