"""Records as the JSON documents that replies show."""

from decimal import Decimal
from typing import Any

import orjson

from schemas.account import ApiKey
from schemas.event import Rejection
from schemas.flush import Watermark
from schemas.listing import MeterCount, Reject, StoredEvent
from schemas.meter import Meter, MeterFilter
from schemas.quantity import to_text
from schemas.timestamps import iso_or_none, to_iso
from schemas.usage import BackfillStatus, UsageRow

Document = dict[str, Any]


def rejection_document(rejection: Rejection) -> Document:
    return {
        "index": rejection.index,
        "idempotency_key": rejection.idempotency_key,
        "code": rejection.code.value,
        "field": rejection.field,
        "message": rejection.message,
    }


def key_document(key: ApiKey) -> Document:
    return {
        "id": key.id,
        "name": key.name,
        "mode": key.mode.value,
        "prefix": key.prefix,
        "scopes": sorted(key.scopes),
        "created_at": to_iso(key.created_at),
        "expires_at": iso_or_none(key.expires_at),
        "last_used_at": iso_or_none(key.last_used_at),
        "revoked_at": iso_or_none(key.revoked_at),
    }


def meter_document(meter: Meter) -> Document:
    return {
        "code": meter.code,
        "name": meter.name,
        "event_name": meter.event_name,
        "aggregation": meter.aggregation.value,
        "value_property": meter.value_property,
        "group_by": meter.group_by,
        "filters": [_filter_document(condition) for condition in meter.filters],
        "unit": meter.unit,
        "version": meter.version,
        "archived": meter.archived_version is not None,
        "created_at": to_iso(meter.created_at),
    }


def _filter_document(condition: MeterFilter) -> Document:
    return {"property": condition.property, "op": condition.op.value, "value": _json_value(condition.value)}


def _json_value(value: Any) -> Any:
    """A number stays a number, with every digit it was given."""
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    return [_json_value(item) for item in value] if isinstance(value, list | tuple) else value


def backfill_document(backfill: BackfillStatus) -> Document:
    return {
        "done": backfill.done,
        "chunks_done": backfill.chunks_done,
        "chunks_total": backfill.chunks_total,
    }


def usage_document(row: UsageRow) -> Document:
    return {
        "meter": row.meter,
        "customer_id": row.customer_id,
        "window_start": to_iso(row.window_start),
        "window_end": to_iso(row.window_end),
        "group": row.group,
        "value": to_text(row.value),
    }


def watermark_document(watermark: Watermark) -> dict[str, int]:
    """Partition → the last flush done; JSON names are text."""
    return {str(partition): flush for partition, flush in sorted(watermark.flushes.items())}


def event_document(event: StoredEvent) -> Document:
    return {
        "event_name": event.event_name,
        "idempotency_key": event.idempotency_key,
        "customer_id": event.customer_id,
        "timestamp": to_iso(event.timestamp),
        "properties": _properties(event.properties),
        "arrived_at": to_iso(event.arrival),
        "backfill": event.backfill,
        "request_id": event.request_id,
    }


def counted_document(counted: MeterCount) -> Document:
    return {
        "meter": counted.meter,
        "share": counted.share.value,
        "value": None if counted.value is None else to_text(counted.value),
        "group": counted.group,
        "code": counted.code,
        "message": counted.message,
    }


def reject_document(reject: Reject) -> Document:
    return {
        "id": reject.id,
        "meter": reject.meter,
        "code": reject.code,
        "message": reject.message,
        "event_name": reject.event_name,
        "idempotency_key": reject.idempotency_key,
        "customer_id": reject.customer_id,
        "timestamp": to_iso(reject.timestamp),
        "properties": _properties(reject.properties),
        "arrived_at": to_iso(reject.arrival),
        "replay_of": reject.replay_of,
        "replayed": reject.replayed,
        "request_id": reject.request_id,
    }


def _properties(text: str) -> orjson.Fragment:
    """Exactly as posted: the text was checked when it came in."""
    return orjson.Fragment(text or "{}")
