"""Properties are read exactly, and the vectorised conversions agree with their definitions."""

import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.property_path import parse_path
from stream_processors.core.property_columns import CHUNK, PropertyColumn, read_columns
from stream_processors.core.property_decoder import decoder_for, is_readable
from stream_processors.core.values import (
    identities,
    identity_of,
    number_of,
    numbers,
    text_of,
    texts,
)
from tests import oracle
from tests.strategies import PATHS, number_texts, property_texts, value_texts

UNREADABLE = (
    "",
    "{",
    "[]",
    "7",
    '{"tokens":}',
    '{"tokens":1}{',
    '{"tokens":1e99999999999999999999}',
    '{"tokens":"\\ud800"}',
)


def plain(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


def read(texts: list[str], reading: PropertyColumn) -> list[Any]:
    found: list[Any] = read_columns(pa.array(texts, pa.string()), [reading])[reading].to_pylist()
    return found


@given(st.lists(property_texts(), max_size=8), st.sampled_from(PATHS))
def test_decoding_the_needed_properties_agrees_with_decoding_all(properties: list[str], path: str) -> None:
    """The values have the same types and the same digits."""
    steps = parse_path(path, "path")
    decoder = decoder_for(frozenset({steps[0], "deep"}))
    found = decoder.values(decoder.decode(pa.array(properties, pa.string())), steps)
    expected = [oracle.at(plain(text), path) for text in properties]
    assert [(type(value), str(value)) for value in found] == [(type(value), str(value)) for value in expected]


@given(st.lists(value_texts(), max_size=6))
def test_whole_chunks_convert_as_value_by_value(spelled: list[str]) -> None:
    """Numbers, group texts and identities, also of unusual values."""
    values = [plain(text) for text in spelled]
    assert numbers(values).to_pylist() == [number_of(value) for value in values]
    assert texts(values).to_pylist() == [text_of(value) for value in values]
    assert identities(values).to_pylist() == [identity_of(value) for value in values]


@given(st.lists(number_texts(), max_size=6))
def test_chunks_of_numbers_convert_as_value_by_value(spelled: list[str]) -> None:
    """Also if all are numbers and Arrow converts them at once."""
    values = [plain(text) for text in spelled]
    assert numbers(values).to_pylist() == [number_of(value) for value in values]


@given(value_texts(), value_texts())
def test_identities_are_equal_exactly_where_values_are(one: str, other: str) -> None:
    """1 is 1.0 and 10e-1; it is neither "1" nor true. Objects are the same in any order of their keys."""
    same = oracle.identity(plain(one)) == oracle.identity(plain(other))
    assert (identity_of(plain(one)) == identity_of(plain(other))) is same


@given(value_texts())
def test_group_texts_are_one_for_all_spellings(spelled: str) -> None:
    """A string is itself, any other value is JSON without trailing zeros and spaces, with sorted keys."""
    assert text_of(plain(spelled)) == oracle.text(plain(spelled))


@pytest.mark.parametrize(
    ("value", "quantity"),
    [
        (7, "7"),
        (Decimal("0.1"), "0.1"),
        ("12.50", "12.5"),
        ("1e3", "1000"),
        (Decimal("0.0000000000005"), "0"),
        (Decimal("0.0000000000015"), "0.000000000002"),
        (999_999_999_999_999, "999999999999999"),
        (10**15, None),
        (-(10**15), None),
        (2**64, None),
        (Decimal(12345678901234567890123456789), None),
        (Decimal("1e99"), None),
        (True, None),
        (None, None),
        ("", None),
        (" 1", None),
        ("0x10", None),
        ([1], None),
    ],
)
def test_numbers_and_numeric_strings_are_numbers(value: Any, quantity: str | None) -> None:
    """To twelve places, ties to even. Other values, and numbers that are too large, are none."""
    expected = None if quantity is None else Decimal(quantity)
    assert number_of(value) == expected
    assert numbers([value]).to_pylist() == [expected]
    assert numbers([value, 1, None]).to_pylist() == [expected, 1, None]


@pytest.mark.parametrize("text", UNREADABLE)
def test_an_unreadable_text_does_not_affect_other_events(text: str) -> None:
    """It reads as an object without properties, and the partition continues."""
    around = ['{"tokens":1}', text, '{"tokens":2}']
    assert read(around, PropertyColumn(("tokens",), numbers)) == [1, None, 2]
    assert not is_readable(text)


def test_texts_of_many_chunks_keep_their_order() -> None:
    """Also if one chunk has to be read one by one."""
    properties = [f'{{"tokens":{number}}}' for number in range(2 * CHUNK + 3)]
    properties[CHUNK + 1] = '{"tokens":"x"}'
    expected: list[int | None] = list(range(len(properties)))
    expected[CHUNK + 1] = None
    assert read(properties, PropertyColumn(("tokens",), numbers)) == expected
