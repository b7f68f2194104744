"""Limits one read of the log to a number of payload bytes."""

from collections.abc import Iterable, Iterator

from schemas.frame import Frame


def within_bytes(frames: Iterable[Frame], max_bytes: int) -> Iterator[Frame]:
    """The first frame whatever its size, and the frames after it that together fit into `max_bytes`."""
    room: int | None = None
    for frame in frames:
        room = max_bytes if room is None else room - len(frame.payload)
        if room < 0:
            return
        yield frame
