"""Rejects tried again: each becomes a frame row for its one meter, under a key that lets it count at most once."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pyarrow as pa

from ingest_gateway.ports import FrameSink
from schemas.event import EventFlag
from schemas.frame import COLUMNS, NewFrame, encode
from schemas.hashing import as_halves, body_digest, key_hash, partition_of
from schemas.listing import Reject
from schemas.meter import Meter
from schemas.tables import replay_key


class Skipped(NamedTuple):
    """A reject that was not tried again, and why."""

    id: str
    reason: str


def reason_to_skip(reject: Reject, meters: dict[str, Meter]) -> str | None:
    """Why trying again makes no sense; None if it does."""
    if reject.meter is None:
        return "the event itself was refused: its key belongs to another event; post it again under a new key"
    if reject.replayed:
        return "it was tried again before; if that failed, a newer reject tells why"
    meter = meters.get(reject.meter)
    if meter is None or meter.archived_version is not None:
        return f"the meter {reject.meter!r} is archived and counts no more"
    return None


class Replays:
    """Puts rejects back into the log."""

    def __init__(self, sink: FrameSink, clock: Callable[[], int], partitions: int) -> None:
        self._sink = sink
        self._clock = clock
        self._partitions = partitions

    async def put(self, rejects: Sequence[Reject], request_id: str) -> None:
        """Durable when this returns. Repeated, it changes nothing: the processor knows their keys."""
        arrival = self._clock()
        hashes = [key_hash(reject.account, replay_key(reject.id)) for reject in rejects]
        partitions = partition_of(as_halves(b"".join(hashes)), self._partitions).tolist()
        frames = []
        for partition in sorted(set(partitions)):
            rows = [
                _row(reject, digest, request_id)
                for reject, digest, own in zip(rejects, hashes, partitions, strict=True)
                if own == partition
            ]
            payload = encode(pa.RecordBatch.from_pylist(rows, schema=COLUMNS))
            frames.append(NewFrame(partition=partition, arrival=arrival, payload=payload))
        if frames:
            await self._sink.append(frames)


def _row(reject: Reject, digest: bytes, request_id: str) -> dict[str, object]:
    return {
        "account": reject.account,
        "event_name": reject.event_name,
        "customer_id": reject.customer_id,
        "timestamp": reject.timestamp,
        "idempotency_key": reject.idempotency_key,
        "key_hash": digest,
        "body_hash": body_digest(reject.id.encode()),
        "properties": reject.properties,
        "flags": EventFlag.REPLAY,
        "request_id": request_id,
        "replay_of": reject.id,
        "replay_meter": reject.meter,
    }
