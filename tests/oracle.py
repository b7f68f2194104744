"""The oracle in plain Python: the verdicts on posted events, and their usage. Slow, short, obvious."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from schemas.event import EventFlag, RejectCode, Verdict
from schemas.meter import Aggregation, FilterOp, Meter, MeterFilter
from schemas.property_path import parse_path
from schemas.quantity import from_text
from schemas.timestamps import MINUTE, SECOND
from tests.factories import WINDOW, Event

Key = tuple[str, str, str, int, str]
"""Account, meter, customer, minute in seconds, group as JSON."""

Usage = dict[Key, Decimal]
Refusals = list[tuple[int, str, RejectCode]]
"""Index of the event in the list, meter, reason."""

_WIDE = Context(prec=400, rounding=ROUND_HALF_EVEN)
_PLACES = Decimal("1e-12")


def verdicts(events: Sequence[Event], arrivals: Sequence[int], window: int = WINDOW) -> list[Verdict]:
    """The verdict on each event, in order of arrival: the first of a key wins, within the window or under backfill."""
    owners: dict[bytes, tuple[int, int]] = {}
    given = []
    for event, arrival in zip(events, arrivals, strict=True):
        owner = owners.get(event.key_hash)
        if owner and (arrival - owner[0] <= window or event.flags & EventFlag.BACKFILL):
            given.append(Verdict.DUPLICATE if owner[1] == event.body_hash else Verdict.CONFLICT)
        else:
            owners[event.key_hash] = (arrival, event.body_hash)
            given.append(Verdict.ACCEPTED)
    return given


def usage(accepted: Sequence[Event], meters: Iterable[Meter]) -> tuple[Usage, Refusals]:
    """Every meter's quantity by customer, minute and group, and the values that could not be counted."""
    quantities: Usage = {}
    refusals: Refusals = []
    for meter in meters:
        values: dict[Key, list[tuple[int, Any]]] = defaultdict(list)
        for place, event in enumerate(accepted):
            properties = json.loads(event.properties, parse_float=Decimal)
            if counts(meter, event, properties):
                value = at(properties, meter.value_property) if meter.aggregation.needs_value else 1
                refusal = refusal_of(value, meter)
                if refusal:
                    refusals.append((place, meter.code, refusal))
                else:
                    key = (meter.account, meter.code, event.customer_id, minute(event), group(meter, properties))
                    values[key].append((event.timestamp, value))
        quantities |= {key: total(meter, found) for key, found in values.items()}
    return quantities, sorted(refusals)


def counts(meter: Meter, event: Event, properties: Any) -> bool:
    """True if the meter counts this event."""
    return (
        (meter.account, meter.event_name) == (event.account, event.event_name)
        and event.replay_meter in ("", meter.code)
        and all(passes(condition, at(properties, condition.property)) for condition in meter.filters)
    )


def minute(event: Event) -> int:
    return event.timestamp // MINUTE * MINUTE // SECOND


def at(properties: Any, path: str | None) -> Any:
    """The property at the path; None if it is missing or null."""
    for name in parse_path(path or "", "path"):
        properties = properties.get(name) if isinstance(properties, dict) else None
    return properties


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def identity(value: Any) -> Any:
    """Equal exactly if two JSON values are: 1 and 1.0 are, 1 and true and "1" are not."""
    if isinstance(value, dict):
        return ("object", frozenset((name, identity(item)) for name, item in value.items()))
    if isinstance(value, list):
        return ("array", tuple(identity(item) for item in value))
    return ("number", Decimal(str(value))) if is_number(value) else (type(value).__name__, value)


def passes(condition: MeterFilter, value: Any) -> bool:
    """A null is a missing property."""
    wanted = condition.value
    match condition.op:
        case FilterOp.EXISTS:
            return bool((value is not None) == wanted)
        case FilterOp.NE:
            return value is None or identity(value) != identity(wanted)
        case FilterOp.EQ:
            return value is not None and bool(identity(value) == identity(wanted))
        case FilterOp.IN:
            return value is not None and identity(value) in [identity(item) for item in wanted]
    if not is_number(value):
        return False
    number, bound = Decimal(value), Decimal(str(wanted))
    return {
        FilterOp.GT: number > bound,
        FilterOp.GTE: number >= bound,
        FilterOp.LT: number < bound,
        FilterOp.LTE: number <= bound,
    }[condition.op]


def refusal_of(value: Any, meter: Meter) -> RejectCode | None:
    if value is None:
        return RejectCode.VALUE_MISSING
    if not meter.aggregation.needs_number:
        return None
    number = exact(value)
    if number is None:
        return RejectCode.VALUE_NOT_A_NUMBER
    return RejectCode.VALUE_RANGE if number.copy_abs() >= 10**15 else None


def exact(value: Any) -> Decimal | None:
    if isinstance(value, str):
        return from_text(value)
    return Decimal(value) if is_number(value) else None


def quantity(value: Any) -> Decimal:
    """Twelve places, ties to even."""
    number = exact(value)
    assert number is not None
    return number.quantize(_PLACES, context=_WIDE)


def total(meter: Meter, found: list[tuple[int, Any]]) -> Decimal:
    """One meter's quantity from (timestamp, value) in order of arrival."""
    match meter.aggregation:
        case Aggregation.COUNT:
            return Decimal(len(found))
        case Aggregation.UNIQUE:
            return Decimal(len({identity(value) for _, value in found}))
        case Aggregation.LATEST:
            newest = max(range(len(found)), key=lambda place: (found[place][0], place))
            return quantity(found[newest][1])
    numbers = [quantity(value) for _, value in found]
    return {
        Aggregation.SUM: sum(numbers, Decimal(0)),
        Aggregation.AVG: average(sum(numbers, Decimal(0)), len(numbers)),
        Aggregation.MIN: min(numbers),
        Aggregation.MAX: max(numbers),
    }[meter.aggregation]


def average(of: Decimal, over: int) -> Decimal:
    return _WIDE.divide(of, Decimal(over)).quantize(_PLACES, context=_WIDE)


def group(meter: Meter, properties: Any) -> str:
    """The group values as a JSON array of strings and nulls."""
    texts = [text(at(properties, path)) for path in meter.group_by.values()]
    return json.dumps(texts, ensure_ascii=False, separators=(",", ":"))


def text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else spelled(value)


def spelled(value: Any) -> str:
    """JSON with sorted keys, no spaces, and numbers without trailing zeros."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{spelled(name)}:{spelled(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(spelled, value)) + "]"
    if not is_number(value):
        return json.dumps(value, ensure_ascii=False)
    digits = f"{Decimal(value):f}"
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return "0" if digits == "-0" else digits


def usage_of_rows(rows: Iterable[dict[str, Any]], meters: Iterable[Meter]) -> Usage:
    """The quantities of usage rows (as dicts, without receipts), merged as the store merges them."""
    by_id = {(str(meter.account), meter.code): meter for meter in meters}
    merged: dict[Key, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["meter"]:
            merged[row["account"], row["meter"], row["customer_id"], row["minute"], row["grp"]].append(row)
    return {key: merged_value(by_id[key[:2]].aggregation, same_key) for key, same_key in merged.items()}


def merged_value(aggregation: Aggregation, rows: list[dict[str, Any]]) -> Decimal:
    counted = sum(row["count"] for row in rows)
    match aggregation:
        case Aggregation.COUNT:
            return Decimal(counted)
        case Aggregation.UNIQUE:
            return Decimal(len({digest for row in rows for digest in row["uniques"]}))
        case Aggregation.LATEST:
            newest: Decimal = max(tuple(row["latest"].values()) for row in rows)[-1]
            return newest
        case Aggregation.MIN:
            return min(Decimal(row["min"]) for row in rows)
        case Aggregation.MAX:
            return max(Decimal(row["max"]) for row in rows)
    summed = sum((row["sum"] for row in rows), Decimal(0))
    return average(summed, counted) if aggregation is Aggregation.AVG else summed
