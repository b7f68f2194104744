"""Events of a body read so that a bad one never sinks the others: in runs where all is well, one by one where not."""

from collections.abc import Sequence
from itertools import chain

from ingest_gateway.ingest.batch import GoodEvents
from ingest_gateway.ingest.columns import read_diagnosed, read_lines
from ingest_gateway.ingest.diagnosis import diagnose
from ingest_gateway.ingest.event_formats import Shape
from ingest_gateway.ingest.packed_strings import join_parts
from ingest_gateway.ingest.pieces import Pieces, at_once
from ingest_gateway.ingest.strict_json import Fault
from schemas.event import RejectCode, Rejection

_RUN = 64
_FIELD_SHOWN = 100

_UNREADABLE = Fault(RejectCode.MALFORMED, None, "the event cannot be read; is it valid JSON?")

Read = tuple[GoodEvents, tuple[Rejection, ...]]


def read_each(lines: Sequence[bytes], shape: Shape, account: str) -> Pieces[Read]:
    """Each line is the JSON text of one event."""
    whole = yield from read_lines(lines, range(len(lines)), shape, account)
    if whole is not None:
        return whole, ()
    good: list[GoodEvents] = []
    bad: list[Rejection] = []
    for start in range(0, len(lines), _RUN):
        indexes = range(start, min(start + _RUN, len(lines)))
        run = yield from read_lines(lines[start : start + _RUN], indexes, shape, account)
        if run is not None:
            good.append(run)
            continue
        for index in indexes:
            found = _read_one(lines[index], index, shape, account)
            good.append(found) if isinstance(found, GoodEvents) else bad.append(found)
    return _joined(good), tuple(bad)


def _read_one(line: bytes, index: int, shape: Shape, account: str) -> GoodEvents | Rejection:
    plain = at_once(read_lines([line], (index,), shape, account))
    if plain is not None:
        return plain
    fault, key = diagnose(line, shape)
    if fault is None:
        good = read_diagnosed(line, index, shape, account)
        if good is not None:
            return good
        fault = _UNREADABLE
    field = fault.field and fault.field[:_FIELD_SHOWN]
    return Rejection(index=index, idempotency_key=key, code=fault.code, field=field, message=fault.message)


def _joined(parts: Sequence[GoodEvents]) -> GoodEvents:
    return GoodEvents(
        indexes=list(chain.from_iterable(part.indexes for part in parts)),
        event_names=join_parts([part.event_names for part in parts]),
        customer_ids=join_parts([part.customer_ids for part in parts]),
        timestamps=b"".join(part.timestamps for part in parts),
        idempotency_keys=join_parts([part.idempotency_keys for part in parts]),
        properties=join_parts([part.properties for part in parts]),
        key_hashes=b"".join(part.key_hashes for part in parts),
        body_hashes=b"".join(part.body_hashes for part in parts),
    )
