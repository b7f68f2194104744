"""Frames into one table of events, in order of arrival."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from schemas.frame import COLUMNS, Frame, decode

PLACED = pa.schema([*COLUMNS, ("offset", pa.uint64()), ("place", pa.uint32()), ("arrival", pa.int64())])
"""A frame's columns, and for each event where it is and when its frame arrived."""


def assemble(frames: Sequence[Frame]) -> pa.Table:
    """All events of the frames: one chunk per column, in the order of the frames and of the events within them."""
    batches = [decode(frame.payload) for frame in frames]
    sizes = [batch.num_rows for batch in batches]
    events = pa.Table.from_batches(batches, COLUMNS).combine_chunks()
    return pa.table(
        [
            *events.columns,
            np.repeat(np.array([frame.offset for frame in frames], dtype=np.uint64), sizes),
            _places(sizes),
            np.repeat(np.array([frame.arrival for frame in frames], dtype=np.int64), sizes),
        ],
        schema=PLACED,
    )


def _places(sizes: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    """0, 1, 2 … from the start of each frame."""
    starts = np.cumsum([0, *sizes[:-1]]) if sizes else np.empty(0, dtype=np.int64)
    return (np.arange(sum(sizes)) - np.repeat(starts, sizes)).astype(np.uint32)
