"""A partition's flushes in sequence, with stored keys and rows in dictionaries."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from schemas.flush import SeenRows
from schemas.frame import Frame
from schemas.meter import Meter
from schemas.tables import EVENTS, REJECTS, USAGE
from stream_processors.core.bloom import BloomFilter
from stream_processors.core.dedupe import KeyLookupResult, keys_to_look_up
from stream_processors.core.flush_plan import PieceBounds, assemble, plan_flush
from tests.factories import WINDOW, Event, make_claim, make_frame, make_meter_set
from tests.stream_processors.core.planned_rows import PlannedRows, planned_rows


def as_frames(posted: Sequence[tuple[int, list[Event]]]) -> list[Frame]:
    """Frames with gaps between their offsets."""
    return [make_frame(events, offset=3 * place, arrival=arrival) for place, (arrival, events) in enumerate(posted)]


class FlushSequence:
    """Plans flushes and stores their rows."""

    def __init__(self, meters: Sequence[Meter], bounds: PieceBounds | None = None) -> None:
        self._bounds = bounds
        self._meters = make_meter_set(*meters)
        self._filter = BloomFilter.sized_for(1000)
        self._seen: dict[bytes, tuple[int, int]] = {}
        self._stored: dict[bytes, tuple[int, int]] = {}
        self.flushes: list[PlannedRows] = []

    def flush(self, frames: Sequence[Frame]) -> PlannedRows:
        claim = make_claim(len(self.flushes), frames[0].offset, frames[-1].offset)
        events = assemble(frames)
        question = keys_to_look_up(events, self._filter.may_contain)
        known = KeyLookupResult(_rows(self._seen, question.seen), _rows(self._stored, question.events))
        rows = planned_rows(plan_flush(claim, events, known, self._meters, WINDOW, self._bounds))
        self.flushes.append(rows)
        self._filter.add(rows.new_hashes)
        for table, keys in ((rows.seen, self._seen), (rows.events, self._stored)):
            columns = (table["key_hash"], table["body_hash"], table["arrival"].cast(pa.int64()))
            keys |= {key: (body, arrival) for key, body, arrival in zip(*(c.to_pylist() for c in columns), strict=True)}
        return rows

    @property
    def usage(self) -> list[dict[str, Any]]:
        return pa.concat_tables([USAGE.empty_table(), *(rows.usage for rows in self.flushes)]).to_pylist()  # type: ignore[no-any-return] # untyped

    @property
    def rejects(self) -> list[dict[str, Any]]:
        return pa.concat_tables([REJECTS.empty_table(), *(rows.rejects for rows in self.flushes)]).to_pylist()  # type: ignore[no-any-return] # untyped

    @property
    def events(self) -> list[dict[str, Any]]:
        return pa.concat_tables([EVENTS.empty_table(), *(rows.events for rows in self.flushes)]).to_pylist()  # type: ignore[no-any-return] # untyped


def _rows(known: dict[bytes, tuple[int, int]], keys: Sequence[bytes]) -> SeenRows:
    found = [key for key in keys if key in known]
    return SeenRows(found, [known[key][0] for key in found], [known[key][1] for key in found])
