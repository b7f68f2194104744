"""Replays rejects: each becomes a frame row for its one meter, under a key that lets it count at most once."""

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa

from ingest_gateway.ports import FrameSink
from schemas.event import EventFlag
from schemas.frame import COLUMNS, NewFrame, encode
from schemas.hashing import as_halves, body_digest, key_hash, partition_of
from schemas.listing import Reject, Skipped
from schemas.meter import Meter
from schemas.tables import replay_key
from schemas.timestamps import to_iso
from schemas.window import MAX_EVENT_AGE

MOST_REPLAYED = 1000

REPLAYED_WITHIN = MAX_EVENT_AGE
"""For how long after its arrival a reject may be replayed.

Its replay key keeps it from counting twice, and a key is known for the window of 35 days and 5 minutes after its frame.
Arrivals never go back, so every replay arrives between the reject and this limit: no two replays of a reject are
further apart than the window.
"""


def reason_to_skip(reject: Reject, meters: Mapping[str, Meter], now: int) -> str | None:
    """Why a replay of the reject would be useless or unsafe; None if it is neither."""
    if reject.meter is None:
        return "the event itself was refused: its key belongs to another event; post it again under a new key"
    if reject.replayed:
        return "it was replayed before; if that failed, a newer reject says why"
    meter = meters.get(reject.meter)
    if meter is None or meter.archived_version is not None:
        return f"the meter {reject.meter!r} is archived and counts no more"
    if now - reject.arrival > REPLAYED_WITHIN:
        return (
            f"it arrived at {to_iso(reject.arrival)}, more than 35 days ago: a try is not remembered for "
            "longer. Post the event again under a new key, with the backfill scope if it is too old; all meters that "
            "count such events will count it"
        )
    return None


class RejectReplayer:
    """Appends rejects to the log once more."""

    def __init__(self, sink: FrameSink, arrival: Callable[[], int], partitions: int) -> None:
        self._sink = sink
        self._arrival = arrival
        self._partitions = partitions

    def select(
        self, rejects: Sequence[Reject], meters: Mapping[str, Meter]
    ) -> tuple[Sequence[Reject], Sequence[Skipped]]:
        """The rejects to replay, and the skipped ones with their reasons."""
        now = self._arrival()
        reasons = [reason_to_skip(reject, meters, now) for reject in rejects]
        judged = list(zip(rejects, reasons, strict=True))
        skipped = [Skipped(id=reject.id, reason=reason) for reject, reason in judged if reason is not None]
        return [reject for reject, reason in judged if reason is None], skipped

    async def append(self, rejects: Sequence[Reject], request_id: str) -> None:
        """Makes the rejects durable. Idempotent: the processor knows the keys of rejects that it has counted.

        The arrival may be slightly before that of a group that the intake is writing. That is harmless, because expiry
        leaves a margin of a day for such differences.
        """
        arrival = self._arrival()
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
