"""Frames become one table of events in order of arrival."""

from hypothesis import given

from stream_processors.core.assemble import PLACED, assemble
from tests.factories import NOW, Event, make_event, make_frame
from tests.strategies import batches


@given(batches(odd=False))
def test_every_event_keeps_its_place(posted: list[tuple[int, list[Event]]]) -> None:
    """Offset, place in the frame and arrival beside what was posted; one chunk per column."""
    frames = [make_frame(events, offset=2 * number, arrival=arrival) for number, (arrival, events) in enumerate(posted)]
    table = assemble(frames)
    expected = [
        (event.idempotency_key, event.properties, 2 * number, place, arrival)
        for number, (arrival, events) in enumerate(posted)
        for place, event in enumerate(events)
    ]
    columns = ("idempotency_key", "properties", "offset", "place", "arrival")
    assert list(zip(*(table[name].to_pylist() for name in columns), strict=True)) == expected
    assert table.schema == PLACED
    assert all(column.num_chunks <= 1 for column in table.columns)


def test_a_frame_without_events_adds_none() -> None:
    """Places still count from the start of each frame."""
    table = assemble([make_frame([], offset=4), make_frame([make_event("k")], offset=5, arrival=NOW + 1)])
    assert table.select(["offset", "place", "arrival"]).to_pylist() == [{"offset": 5, "place": 0, "arrival": NOW + 1}]
