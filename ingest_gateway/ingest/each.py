"""Events of a body read so that a bad one never sinks the others: in runs where all is well, one by one where not."""

from collections.abc import Sequence
from itertools import chain

from ingest_gateway.ingest.batch import GoodEvents
from ingest_gateway.ingest.columns import read_lines, read_valid_event
from ingest_gateway.ingest.diagnosis import diagnose
from ingest_gateway.ingest.event_formats import EventFormat
from ingest_gateway.ingest.packed_strings import concat_packed
from ingest_gateway.ingest.pieces import Steps, run_at_once
from ingest_gateway.ingest.strict_json import EventFault
from schemas.event import RejectCode, Rejection

_RUN = 64
_FIELD_SHOWN = 100

_UNREADABLE = EventFault(RejectCode.MALFORMED, None, "the event cannot be read; is it valid JSON?")

Read = tuple[GoodEvents, tuple[Rejection, ...]]


def read_each(lines: Sequence[bytes], event_format: EventFormat, account: str) -> Steps[Read]:
    """Each line is the JSON text of one event."""
    whole = yield from read_lines(lines, range(len(lines)), event_format, account)
    if whole is not None:
        return whole, ()
    good: list[GoodEvents] = []
    bad: list[Rejection] = []
    for start in range(0, len(lines), _RUN):
        indexes = range(start, min(start + _RUN, len(lines)))
        run = yield from read_lines(lines[start : start + _RUN], indexes, event_format, account)
        if run is not None:
            good.append(run)
            continue
        for index in indexes:
            found = _read_one(lines[index], index, event_format, account)
            good.append(found) if isinstance(found, GoodEvents) else bad.append(found)
    return _joined(good), tuple(bad)


def _read_one(line: bytes, index: int, event_format: EventFormat, account: str) -> GoodEvents | Rejection:
    plain = run_at_once(read_lines([line], (index,), event_format, account))
    if plain is not None:
        return plain
    fault, key = diagnose(line, event_format)
    if fault is None:
        good = read_valid_event(line, index, event_format, account)
        if good is not None:
            return good
        fault = _UNREADABLE
    field = fault.field and fault.field[:_FIELD_SHOWN]
    return Rejection(index=index, idempotency_key=key, code=fault.code, field=field, message=fault.message)


def _joined(parts: Sequence[GoodEvents]) -> GoodEvents:
    return GoodEvents(
        indexes=list(chain.from_iterable(part.indexes for part in parts)),
        event_names=concat_packed([part.event_names for part in parts]),
        customer_ids=concat_packed([part.customer_ids for part in parts]),
        timestamps=b"".join(part.timestamps for part in parts),
        idempotency_keys=concat_packed([part.idempotency_keys for part in parts]),
        properties=concat_packed([part.properties for part in parts]),
        key_hashes=b"".join(part.key_hashes for part in parts),
        body_hashes=b"".join(part.body_hashes for part in parts),
    )
