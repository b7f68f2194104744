"""Events, bodies and requests as the ingest tests post them."""

import json
from typing import Any

from ingest_gateway.ingest.batch import PostedBatch, ValidEvents
from ingest_gateway.ingest.cooperative import run_at_once
from ingest_gateway.ingest.parse import parse_body
from schemas.ids import AccountId

ACCOUNT = AccountId("acme_live")
JSON = "application/json"
NDJSON = "application/x-ndjson"


def event(key: str = "k1", **changes: Any) -> dict[str, Any]:
    """A valid event; a change to None removes the field."""
    made: dict[str, Any] = {
        "event_name": "api.request",
        "idempotency_key": key,
        "customer_id": "cust_1",
        "timestamp": "2026-11-21T10:30:00.5Z",
        "properties": {"tokens": 12, "model": "gpt", "ratio": 0.25},
    }
    made.update(changes)
    return {field: value for field, value in made.items() if value is not None}


def cloudevent(key: str = "k1", **changes: Any) -> dict[str, Any]:
    """The same event as a CloudEvent."""
    own = event(key)
    made: dict[str, Any] = {
        "specversion": "1.0",
        "source": "/tests",
        "id": own["idempotency_key"],
        "type": own["event_name"],
        "subject": own["customer_id"],
        "time": own["timestamp"],
        "data": own["properties"],
    }
    made.update(changes)
    return {field: value for field, value in made.items() if value is not None}


def batch(*events: Any) -> bytes:
    return json.dumps({"events": events}).encode()


def raw_batch(*texts: bytes) -> bytes:
    """A batch of texts that no JSON serializer would write."""
    return b'{"events":[' + b",".join(texts) + b"]}"


def raw_event(key: str = "k1", **changes: bytes) -> bytes:
    """The text of a valid event, in which `changes` replace values byte for byte."""
    fields = {name: json.dumps(value).encode() for name, value in event(key).items()} | changes
    return b"{" + b",".join(b'"%b":%b' % (name.encode(), value) for name, value in fields.items()) + b"}"


def post(body: bytes, content_type: str = JSON, *, strict: bool = False, backfill: bool = False) -> PostedBatch:
    return run_at_once(
        parse_body(body, content_type, account=ACCOUNT, request_id="req_1", strict=strict, backfill=backfill)
    )


def stored_properties(valid: ValidEvents) -> list[bytes]:
    """The properties of each event."""
    texts, start = [], 0
    for length in memoryview(valid.properties.packed_lengths).cast("i"):
        texts.append(valid.properties.joined[start : start + length])
        start += length
    return texts


def timestamps(valid: ValidEvents) -> list[int]:
    return list(memoryview(valid.timestamps).cast("q"))
