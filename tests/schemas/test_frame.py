"""A frame's payload gives back what went in, and tells its size before it is opened."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Alarm
from schemas.frame import decode, encode, raw_size
from tests.factories import make_batch, make_event


@given(texts=st.lists(st.text(max_size=20), max_size=8), times=st.integers(1, 50))
def test_what_is_encoded_is_decoded(texts: list[str], times: int) -> None:
    """And its raw size is that of the record batch, however well it compresses."""
    events = make_batch([make_event(text, '{"a":1}' * times) for text in texts])
    payload = encode(events)
    assert decode(payload).equals(events)
    assert raw_size(payload) >= events.serialize().size >= events.nbytes


def test_equal_events_are_much_larger_than_they_look() -> None:
    """The reason to ask."""
    payload = encode(make_batch([make_event("same", '{"a":1}' * 100)] * 2000))
    assert raw_size(payload) > 20 * len(payload)


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x01nonsense", b"\x02" * 30])
def test_of_the_unreadable_no_size_is_made_up(payload: bytes) -> None:
    """It has the bytes it has; whoever opens it hears what is wrong."""
    assert raw_size(payload) == len(payload)
    with pytest.raises(Alarm, match="frame"):
        decode(payload)
