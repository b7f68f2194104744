"""The splitter finds the same elements as a JSON parser, in linear time, for any input."""

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_gateway.ingest.json_structure import elements, nests_deeper, quotes
from schemas.errors import Invalid

values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='ab"\\{}[],: \n\u00e9'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='a"\\{,'), inner, max_size=4),
    max_leaves=20,
)


def nesting(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(nesting, value.values()), default=0)
    return 1 + max(map(nesting, value), default=0) if isinstance(value, list) else 0


def strings(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(strings, value.values()))
    return sum(map(strings, value)) if isinstance(value, list) else isinstance(value, str)


@given(items=st.lists(values, max_size=6), indent=st.sampled_from([None, 0, 2]), ascii_only=st.booleans())
def test_elements_are_those_of_the_array(items: list[Any], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(items, indent=indent, ensure_ascii=ascii_only).encode()
    assert [json.loads(text[start:end]) for start, end in elements(text, "it", 100)] == items


@given(value=values)
def test_depth_and_quotes_are_those_of_a_json_parser(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False).encode()
    assert quotes(text) == 2 * strings(value)
    assert [nests_deeper(text, levels) for levels in range(8)] == [nesting(value) > levels for levels in range(8)]


@given(text=st.text(alphabet='[]{},"\\ a1', max_size=40))
def test_any_text_is_split_or_refused(text: str) -> None:
    """Nothing but Invalid is raised, and spans lie inside the text."""
    body = text.encode()
    with suppress(Invalid):
        assert all(0 <= start <= end <= len(body) for start, end in elements(body, "it", 100))


@pytest.mark.parametrize("unit", [b"[", b'"', b"[,", b"\\", b'{"a":', b"[]", b'"a",', b"],", b"{}"])
def test_hostile_megabytes_are_refused_in_linear_time(unit: bytes) -> None:
    """Ten megabytes of brackets, quotes or commas; a quadratic step would take hours of processor time."""
    text = b"[" + unit * (10_000_000 // len(unit))
    began = time.process_time()
    with pytest.raises(Invalid):
        elements(text, "it", 10_000)
    assert time.process_time() - began < 5
