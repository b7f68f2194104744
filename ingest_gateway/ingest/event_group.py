"""A group: the events of all requests that are judged and made durable together, as one set of columns."""

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from ingest_gateway.ingest.batch import NO_TIME, PostedBatch
from schemas.hashing import BodyHashes, KeyHashes, as_halves

Numbers = npt.NDArray[np.int64]


class EventGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Requests in order of their arrival, and one row for each of their valid events."""

    requests: Sequence[PostedBatch]
    arrival: int
    """The arrival stamp of all frames of the group; ages are judged against it."""
    starts: Numbers
    """The first row of each request, and the number of rows at the end."""
    timestamps: Numbers
    key_digests: bytes
    keys: KeyHashes
    bodies: BodyHashes

    def __len__(self) -> int:
        return len(self.bodies)

    def per_row(self, values: Sequence[int] | Sequence[bool]) -> Numbers:
        """Repeats each request's value for each of its rows."""
        return np.repeat(np.array(values, np.int64), np.diff(self.starts))

    def rows(self) -> Iterator[tuple[PostedBatch, int, int]]:
        """Each request, with the start and end of its rows."""
        starts = self.starts.tolist()
        return zip(self.requests, starts[:-1], starts[1:], strict=True)


def gather(requests: Sequence[PostedBatch], arrival: int) -> EventGroup:
    """The group of these requests. An event without a timestamp gets the arrival."""
    valid_events = [posted.valid for posted in requests]
    digests = b"".join([valid.key_hashes for valid in valid_events])
    timestamps = np.frombuffer(b"".join([valid.timestamps for valid in valid_events]), np.int64)
    return EventGroup(
        requests=requests,
        arrival=arrival,
        starts=np.cumsum([0, *map(len, valid_events)]),
        timestamps=np.where(timestamps == NO_TIME, arrival, timestamps),
        key_digests=digests,
        keys=as_halves(digests),
        bodies=np.frombuffer(b"".join([valid.body_hashes for valid in valid_events]), np.uint64),
    )
