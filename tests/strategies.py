"""Hypothesis strategies: few keys, customers and names, so that they repeat, and unusual values."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
from hypothesis import strategies as st

from schemas.event import EventFlag
from schemas.meter import Aggregation, FilterOp, Meter, MeterFilter
from schemas.timestamps import DAY, MINUTE, SECOND
from tests.factories import ACCOUNT, NOW, Event, make_meter

ACCOUNTS = (ACCOUNT, ACCOUNT, ACCOUNT, "acme_test")
EVENT_NAMES = ("api.request", "api.request", "api.request", "job.done")
CUSTOMERS = ("cust_1", "cust_2", "Zoë, Inc.")
PROPERTIES = ("tokens", "model", "odd name", 'quo"te')
PATHS = (
    "$.tokens",
    "$.tokens",
    "$.tokens",
    "$.model",
    "$['odd name']",
    "$['quo\"te']",
    "$.model.tokens",
    "$.model.deep.er",
)

NUMBER_TEXTS = (
    *("0", "-0", "0.0", "1", "1.0", "1.000", "10e-1", "1e2", "100", "-7", "2.5", "-2.50", "0.1", "0.30000000000000004"),
    *("0.0000000000005", "0.0000000000015", "-0.0000000000025", "1e-13", "1e-40", "123456789.123456789012"),
    *("999999999999999", "999999999999999.999999999999", "999999999999999.9999999999995", "1000000000000000"),
    *("-1e15", "9223372036854775807", "9223372036854775808", "18446744073709551616", "12345678901234567890123456789"),
    *("1e26", "99999999999999999999999999", "1e40", "-1.5e99"),
)

WORDS = (
    "",
    "eu",
    "us",
    "true",
    "null",
    "1",
    "gpt-4",
    "Zoë",
    "\u2028",
    "💥",
    'a "quoted" word',
    "back\\slash",
    "new\nline",
)


@cache
def number_texts() -> st.SearchStrategy[str]:
    """JSON numbers in any spelling."""
    return st.one_of(
        st.sampled_from(NUMBER_TEXTS),
        st.integers(-(10**16), 10**16).map(str),
        st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**16), max_value=10**16).map("{:f}".format),
    )


@cache
def value_texts() -> st.SearchStrategy[str]:
    """Any JSON value, as text."""
    scalars = st.one_of(
        number_texts(),
        st.one_of(number_texts(), st.sampled_from((*WORDS, " 1", "+1", "01", "1_0", "0x1", "NaN", "１"))).map(_quoted),
        st.sampled_from(("true", "false", "null")),
    )
    nested = st.one_of(_arrays(scalars), _objects(scalars))
    return st.one_of(scalars, nested, _arrays(nested), _objects(nested))


@cache
def property_texts() -> st.SearchStrategy[str]:
    """The JSON text of an event's properties: an object, mostly with values that meters can count."""
    usual = {
        "tokens": st.one_of(st.integers(0, 9).map(str), number_texts(), number_texts().map(_quoted)),
        "model": st.one_of(st.sampled_from(WORDS).map(_quoted), _objects(st.integers(0, 9).map(str))),
    }
    odd = {name: value_texts() for name in PROPERTIES}
    usually = st.fixed_dictionaries(usual, optional={name: odd[name] for name in PROPERTIES if name not in usual})
    return st.one_of(usually, usually, st.fixed_dictionaries({}, optional=odd)).map(_written)


def _written(members: dict[str, str]) -> str:
    return "{" + ",".join(f"{_quoted(name)}: {text}" for name, text in members.items()) + "}"


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _arrays(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")


def _objects(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    names = st.sampled_from((*PROPERTIES, "deep", "er"))
    return st.dictionaries(names, inner, max_size=4).map(_written)


@cache
def events(*, odd: bool = True) -> st.SearchStrategy[Event]:
    """Events of few keys, so that some repeat, with unusual properties or a choice of two plain ones."""
    return st.builds(
        Event,
        account=st.sampled_from(ACCOUNTS),
        event_name=st.sampled_from(EVENT_NAMES),
        customer_id=st.sampled_from(CUSTOMERS),
        timestamp=st.integers(-3, 3).map(lambda halves: NOW + halves * MINUTE // 2 - SECOND // 7),
        idempotency_key=st.integers(1, 30).map("key_{}".format),
        properties=property_texts() if odd else st.sampled_from(('{"tokens":1}', "{}")),
        flags=st.sampled_from((0, 0, 0, EventFlag.BACKFILL)),
    )


@cache
def uncountable() -> st.SearchStrategy[Event]:
    """Events of the usual name that lack a number of tokens."""
    properties = st.sampled_from(("{}", '{"tokens":"many"}', '{"model":"eu","tokens":1e15}'))
    return st.builds(
        lambda event, spoilt: msgspec.structs.replace(
            event, account=ACCOUNT, event_name="api.request", properties=spoilt
        ),
        *(events(), properties),
    )


@cache
def conditions() -> st.SearchStrategy[MeterFilter]:
    """Filters whose values occur in events."""
    words = st.sampled_from(("eu", "1", 1, 2.5, 0, True, "", "gpt-4"))
    values: dict[FilterOp, st.SearchStrategy[Any]] = {
        FilterOp.EXISTS: st.booleans(),
        FilterOp.EQ: words,
        FilterOp.NE: words,
        FilterOp.IN: st.lists(words, max_size=3),
    }
    bounds = st.sampled_from((0, 1, 2.5, -7, 100))
    return st.sampled_from(FilterOp).flatmap(
        lambda op: st.builds(MeterFilter, property=st.sampled_from(PATHS), op=st.just(op), value=values.get(op, bounds))
    )


def token_meters(code: str = "tokens") -> st.SearchStrategy[Meter]:
    """Meters that need a number of tokens from every event of the usual name."""
    aggregations = st.sampled_from([aggregation for aggregation in Aggregation if aggregation.needs_number])
    groups = st.sampled_from(({}, {"model": "$.model"}))
    return st.builds(
        lambda aggregation, command_of: make_meter(code, aggregation, group_by=command_of), aggregations, groups
    )


@st.composite
def meters(draw: st.DrawFn, code: str = "meter") -> Meter:
    """Any meter over the events above."""
    aggregation = draw(st.sampled_from(Aggregation))
    paths = draw(st.lists(st.sampled_from(PATHS), max_size=2))
    return make_meter(
        code,
        aggregation,
        account=draw(st.sampled_from(ACCOUNTS)),
        event_name=draw(st.sampled_from(EVENT_NAMES)),
        value_property=draw(st.one_of(st.just("$.tokens"), st.sampled_from(PATHS)))
        if aggregation.needs_value
        else None,
        group_by={f"key_{place}": path for place, path in enumerate(paths)},
        filters=tuple(draw(st.one_of(st.just([]), st.lists(conditions(), max_size=2)))),
    )


def meter_lists(largest: int = 4) -> st.SearchStrategy[tuple[Meter, ...]]:
    """Meters with different codes."""
    return st.integers(0, largest).flatmap(
        lambda size: st.tuples(*(meters(code=f"meter_{number}") for number in range(size)))
    )


@st.composite
def batches(
    draw: st.DrawFn,
    largest: int = 4,
    *,
    smallest: int = 0,
    odd: bool = True,
    of: st.SearchStrategy[Event] | None = None,
) -> list[tuple[int, list[Event]]]:
    """Contents of frames, (arrival, events), in order of arrival, sometimes with long gaps between arrivals.

    About one event in three is a retry of an earlier one.
    """
    arrival = NOW
    made: list[tuple[int, list[Event]]] = []
    sent: list[Event] = []
    made_of = events(odd=odd) if of is None else of
    for fresh in draw(st.lists(st.lists(made_of, min_size=1, max_size=4), min_size=smallest, max_size=largest)):
        arrival += draw(st.sampled_from(_PAUSES))
        retried = draw(st.lists(st.sampled_from(sent), max_size=2)) if sent else []
        made.append((arrival, draw(st.permutations([*fresh, *retried]))))
        sent += fresh
    return made


_PAUSES = (0, 0, 1, SECOND, SECOND, DAY, 20 * DAY, 35 * DAY, 35 * DAY + 5 * MINUTE, 36 * DAY)


def cuts(size: int) -> st.SearchStrategy[Sequence[int]]:
    """Ends of the runs into which a sequence of `size` is cut: increasing, the last one `size`."""
    return st.sets(st.integers(1, max(1, size - 1))).map(lambda ends: sorted({*(e for e in ends if e < size), size}))
