"""Columns of texts on their way into a frame: ten thousand texts in two objects.

They are joined while they are still at hand, as soon as a body is read. Kept one by one until their group is written
they would come back from main memory, and cost more there than all the reading.
"""

from array import array
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

Lengths = npt.NDArray[np.int32]


class PackedStrings(msgspec.Struct, frozen=True, gc=False):
    """UTF-8, one text after the other, and the bytes of each as int32."""

    joined: bytes
    packed_lengths: bytes

    @property
    def lengths(self) -> Lengths:
        return np.frombuffer(self.packed_lengths, np.int32)

    @property
    def longest(self) -> int:
        """The bytes of the longest one; there must be one."""
        return max(memoryview(self.packed_lengths).cast("i"))

    def __len__(self) -> int:
        return len(self.packed_lengths) // 4

    def __getitem__(self, place: int) -> str:
        """One of them, for the few that are told about."""
        lengths = self.lengths
        start = int(lengths[:place].sum())
        return self.joined[start : start + int(lengths[place])].decode()


def pack_strings(texts: Sequence[str]) -> PackedStrings:
    """Raises ValueError at a lone surrogate."""
    joined = "".join(texts)
    if joined.isascii():
        return PackedStrings(joined.encode(), _packed(map(len, texts)))
    return pack_encoded([text.encode() for text in texts])


def pack_encoded(texts: Sequence[bytes | msgspec.Raw]) -> PackedStrings:
    """The same of texts that are UTF-8 already."""
    return PackedStrings(b"".join(texts), _packed(map(len, texts)))


def concat_packed(parts: Sequence[PackedStrings]) -> PackedStrings:
    """The texts of all parts, in order."""
    if len(parts) == 1:
        return parts[0]
    return PackedStrings(b"".join([part.joined for part in parts]), b"".join([part.packed_lengths for part in parts]))


def as_column(texts: PackedStrings) -> pa.StringArray:
    """As Arrow sees them; nothing is copied but the lengths, which become offsets."""
    offsets = np.zeros(len(texts) + 1, np.int32)
    np.cumsum(texts.lengths, out=offsets[1:])
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(texts.joined))


def _packed(lengths: Iterable[int]) -> bytes:
    return array("i", list(lengths)).tobytes()
