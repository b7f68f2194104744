"""The JSON texts of properties into Python values: only the properties needed, with exact numbers.

Whole numbers become int, others Decimal from their text. A missing property is None, and so is null.
"""

import operator
import re
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from schemas.property_path import PathSteps

Value = Any
"""A JSON value: None, bool, int, Decimal, str, list or dict."""

_CANNOT_BE_RENAMED = re.compile(r'["\\\x00-\x1f]')
_UNREADABLE = (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError)


class Decoder(msgspec.Struct, frozen=True):
    """Reads the properties that it was built for, and skips all others."""

    many: msgspec.json.Decoder[list[Any]]
    one: msgspec.json.Decoder[Any]
    nothing: Any
    """The object for an unreadable text: all of its properties are missing."""
    getters: Mapping[str, Callable[[Any], Value]]

    def decode(self, texts: pa.Array) -> list[Any]:
        """One object per text, for `values`. Decodes all texts in one call, or one by one if that fails."""
        try:
            found = self.many.decode(_as_list(texts))
        except _UNREADABLE:
            found = []  # Only one by one shows which text is unreadable; that one alone becomes a reject.
        if len(found) == len(texts):
            return found
        return [self._decode_one(text) for text in texts.to_pylist()]

    def values(self, objects: list[Any], path: PathSteps) -> list[Value]:
        """The property at `path` of each object."""
        found = list(map(self.getters[path[0]], objects))
        for name in path[1:]:
            found = [value.get(name) if type(value) is dict else None for value in found]
        return found

    def _decode_one(self, text: str) -> Any:
        try:
            return self.one.decode(text)
        except _UNREADABLE:
            return self.nothing


def is_readable(text: str) -> bool:
    """True if the text is a JSON object."""
    try:
        return isinstance(_WHOLE.decode(text), dict)
    except _UNREADABLE:
        return False


@lru_cache(maxsize=1024)
def decoder_for(names: frozenset[str]) -> Decoder:
    """A decoder of the outermost properties with these names."""
    in_order = sorted(names)
    return _plain_decoder(in_order) if _CANNOT_BE_RENAMED.search("".join(in_order)) else _struct_decoder(in_order)


def _struct_decoder(names: Collection[str]) -> Decoder:
    """Decodes into a struct with one field per name: no object is built for other properties."""
    fields = {f"p{index}": name for index, name in enumerate(names)}
    made = msgspec.defstruct("Needed", [(field, Any, None) for field in fields], rename=fields, gc=False)
    getters = {name: operator.attrgetter(field) for field, name in fields.items()}
    return _decoder(made, made(), getters)


def _plain_decoder(names: Collection[str]) -> Decoder:
    """Decodes into a dict, for names that cannot be the name of a field."""
    return _decoder(dict[str, Any], {}, {name: operator.methodcaller("get", name) for name in names})


def _decoder(made: Any, nothing: Any, getters: Mapping[str, Callable[[Any], Value]]) -> Decoder:
    return Decoder(
        many=msgspec.json.Decoder(list[made], float_hook=Decimal),
        one=msgspec.json.Decoder(made, float_hook=Decimal),
        nothing=nothing,
        getters=getters,
    )


def _as_list(texts: pa.Array) -> bytes:
    """The texts as one JSON array."""
    whole = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)
    return b"[%b]" % pc.binary_join(whole, ",")[0].as_buffer().to_pybytes()


_WHOLE = msgspec.json.Decoder(Any, float_hook=Decimal)
