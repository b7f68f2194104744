"""Limits of a log: how much it may hold, how it deletes counted frames, and how much one read returns."""

from collections.abc import Iterable, Iterator

import msgspec

from schemas.frame import Frame

MEBIBYTE = 2**20
GIBIBYTE = 2**30


class LogPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one log; the defaults suit one machine."""

    held_bytes: int = 4 * GIBIBYTE
    """Payload bytes the log may hold. At this limit appends are refused; an accepted frame is never dropped."""
    retained_frames: int = 0
    """How many counted frames of each partition are kept for inspection; they count towards `held_bytes`."""
    trim_frames: int = 512
    """How many counted frames one commit deletes: few, so that appends do not wait long for it."""
    checkpoint_bytes: int = 16 * MEBIBYTE
    """Bytes committed between two checkpoints; this bounds the size of the write-ahead file."""
    busy_seconds: float = 5.0
    """Seconds to wait for a file that another program has locked."""
    hung_seconds: float = 5.0
    """Seconds after which a commit that has not returned is reported."""
    probe_seconds: float = 1.5
    """Seconds that a readiness check waits for the disk to sync a small write."""
    free_bytes: int = MEBIBYTE
    """The disk counts as full when fewer bytes are free."""
    readers: int = 2
    """The number of threads that read."""


def within_bytes(frames: Iterable[Frame], max_bytes: int) -> Iterator[Frame]:
    """The first frame whatever its size, and the frames after it that together fit into `max_bytes`."""
    room: int | None = None
    for frame in frames:
        room = max_bytes if room is None else room - len(frame.payload)
        if room < 0:
            return
        yield frame
