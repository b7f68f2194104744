"""How each meter counts one event: the flush's own measure, applied to that event alone."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from schemas.event import EventFlag
from schemas.hashing import key_hash
from schemas.listing import MeterCount, Share, StoredEvent
from schemas.meter import Aggregation, Meter
from schemas.tables import EVENTS
from stream_processors.backends.reading.group_values import read_groups
from stream_processors.core.measure import measure

_VALUE_COLUMN = {
    Aggregation.COUNT: "count",
    Aggregation.SUM: "sum",
    Aggregation.AVG: "sum",
    Aggregation.MIN: "min",
    Aggregation.MAX: "max",
}


def event_outcomes(event: StoredEvent, meters: Sequence[Meter]) -> list[MeterCount]:
    """How each meter on this event's name counts the event."""
    on_event = [meter for meter in meters if (meter.account, meter.event_name) == (event.account, event.event_name)]
    row = _as_row(event)
    return [_outcome_of(row, meter) for meter in on_event]


def _outcome_of(row: pa.Table, meter: Meter) -> MeterCount:
    measured = measure(row, [meter], month=0)
    for usage in measured.usage.to_pylist():
        group = dict(zip(meter.group_by, read_groups(usage["grp"]), strict=True))
        return MeterCount(meter=meter.code, share=Share.COUNTED, value=_value(usage, meter.aggregation), group=group)
    for reject in measured.rejects.to_pylist():
        return MeterCount(meter=meter.code, share=Share.REJECTED, code=reject["code"], message=reject["message"])
    return MeterCount(meter=meter.code, share=Share.FILTERED)


def _value(usage: dict[str, Any], aggregation: Aggregation) -> Decimal | None:
    if aggregation is Aggregation.UNIQUE:
        return None
    if aggregation is Aggregation.LATEST:
        return Decimal(usage["latest"]["value"])
    return Decimal(usage[_VALUE_COLUMN[aggregation]])


def _as_row(event: StoredEvent) -> pa.Table:
    """The event in the layout EVENTS. Its body hash is unknown here, and measuring does not use it."""
    place = event.place
    row = {
        "p": place.partition,
        "n": place.number,
        "offset": place.offset,
        "place": place.place,
        "account": event.account,
        "event_name": event.event_name,
        "customer_id": event.customer_id,
        "timestamp": event.timestamp,
        "idempotency_key": event.idempotency_key,
        "key_hash": key_hash(event.account, event.idempotency_key),
        "body_hash": 0,
        "properties": event.properties,
        "flags": EventFlag.BACKFILL if event.backfill else 0,
        "request_id": event.request_id,
        "arrival": event.arrival,
        "month": 0,
    }
    return pa.Table.from_pylist([row], schema=EVENTS)
