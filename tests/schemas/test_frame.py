"""A frame's payload decodes to its events, and its header states the decoded size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Alarm
from schemas.frame import decode, encode, raw_size
from tests.factories import make_batch, make_event


@given(texts=st.lists(st.text(max_size=20), max_size=8), times=st.integers(1, 50))
def test_encoded_events_are_decoded_unchanged(texts: list[str], times: int) -> None:
    """The raw size is that of the record batch, however well it compresses."""
    events = make_batch([make_event(text, '{"a":1}' * times) for text in texts])
    payload = encode(events)
    assert decode(payload).equals(events)
    assert raw_size(payload) >= events.serialize().size >= events.nbytes


def test_equal_events_are_much_larger_than_their_payload() -> None:
    """A flush is bounded by the raw size for this reason."""
    payload = encode(make_batch([make_event("same", '{"a":1}' * 100)] * 2000))
    assert raw_size(payload) > 20 * len(payload)


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x01nonsense", b"\x02" * 30])
def test_an_unreadable_payload_has_its_own_size(payload: bytes) -> None:
    """Decoding it raises the error."""
    assert raw_size(payload) == len(payload)
    with pytest.raises(Alarm, match="frame"):
        decode(payload)
