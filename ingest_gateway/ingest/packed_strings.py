"""Columns of texts on their way into a frame: ten thousand texts in two objects.

Texts are packed as soon as a body is parsed, while they are still in the processor's cache. Kept as separate objects
until their group is written, they would have to be fetched from main memory, which costs more than all the parsing.
"""

from array import array
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

Lengths = npt.NDArray[np.int32]


class PackedStrings(msgspec.Struct, frozen=True, gc=False):
    """Concatenated UTF-8 texts, and the length of each in bytes as int32."""

    joined: bytes
    packed_lengths: bytes

    @property
    def lengths(self) -> Lengths:
        return np.frombuffer(self.packed_lengths, np.int32)

    @property
    def longest(self) -> int:
        """The length of the longest text in bytes. Raises ValueError if there is none."""
        return max(memoryview(self.packed_lengths).cast("i"))

    def __len__(self) -> int:
        return len(self.packed_lengths) // 4

    def __getitem__(self, place: int) -> str:
        """One text. Slow: for the few that a reply names."""
        lengths = self.lengths
        start = int(lengths[:place].sum())
        return self.joined[start : start + int(lengths[place])].decode()


def pack_strings(texts: Sequence[str]) -> PackedStrings:
    """Raises ValueError for a lone surrogate."""
    joined = "".join(texts)
    if joined.isascii():
        return PackedStrings(joined.encode(), _packed(map(len, texts)))
    return pack_encoded([text.encode() for text in texts])


def pack_encoded(texts: Sequence[bytes | msgspec.Raw]) -> PackedStrings:
    """Packs texts that are UTF-8 already."""
    return PackedStrings(b"".join(texts), _packed(map(len, texts)))


def concat_packed(parts: Sequence[PackedStrings]) -> PackedStrings:
    """The texts of all parts, in order."""
    if len(parts) == 1:
        return parts[0]
    return PackedStrings(b"".join([part.joined for part in parts]), b"".join([part.packed_lengths for part in parts]))


def as_column(texts: PackedStrings) -> pa.StringArray:
    """The texts as an Arrow array, without a copy of the texts."""
    offsets = np.zeros(len(texts) + 1, np.int32)
    np.cumsum(texts.lengths, out=offsets[1:])
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(texts.joined))


def _packed(lengths: Iterable[int]) -> bytes:
    return array("i", list(lengths)).tobytes()
