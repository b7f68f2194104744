"""The hashes of posted events: of the key, and of the body in a canonical form.

The canonical form is the JSON array [event_name, customer_id, microseconds, properties] without blanks and with
sorted keys, so that a retry with its properties in another order, or its time in another zone, has the same body.
Numbers are compared as JSON parsers read them: 1 and 1.0 are two bodies, 1.50 and 1.5 are one.
"""

from array import array
from collections.abc import Sequence
from typing import Any

import orjson

from ingest_gateway.ingest.batch import NO_TIME
from schemas.hashing import body_digest, key_digest


def key_hashes(account: str, idempotency_keys: Sequence[str]) -> bytes:
    """Sixteen bytes for each key, concatenated."""
    prefix = account.encode() + b"\0"
    return b"".join([key_digest(prefix + key.encode()) for key in idempotency_keys])


def body_hashes(
    event_names: Sequence[str],
    customer_ids: Sequence[str],
    timestamps: Sequence[int],
    properties: Sequence[dict[str, Any]],
) -> bytes:
    """A uint64 for each body, concatenated. Raises TypeError if an integer does not fit into 64 bits."""
    times: Sequence[int | None] = timestamps
    if NO_TIME in timestamps:
        times = [None if timestamp == NO_TIME else timestamp for timestamp in timestamps]
    dumps, sort = orjson.dumps, orjson.OPT_SORT_KEYS
    # One by one: keeping the texts of a whole batch alive costs ten times as much.
    rows = zip(event_names, customer_ids, times, properties, strict=True)
    return array("Q", [body_digest(dumps(row, None, sort)) for row in rows]).tobytes()
