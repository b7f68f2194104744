"""Proves that the usage equals what a run sent: makes the meters before, compares the usage after."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from schemas.errors import Conflict, Overloaded
from schemas.timestamps import MINUTE, to_iso
from tallyhouse.load.expected_usage import METERS, ExpectedUsage, Values, meter_body

_PAGE = 10_000
_PAUSE = 0.1
_SHOWN = 10


class UsageApi(Protocol):
    """The HTTP API of the process under load. Raises the error of the answer: Conflict for a 409, and so on."""

    def get(self, path: str, **params: str | int) -> dict[str, Any]: ...

    def post(self, path: str, body: Any) -> dict[str, Any]: ...


class MeterProof(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison of one meter: the number of values, their sums, and the differences."""

    meter: str
    values: int
    expected: Decimal
    found: Decimal
    differences: tuple[str, ...]


def prepare_meters(api: UsageApi) -> None:
    """Makes the run's meters. Raises Conflict if one exists with another definition."""
    for meter in METERS:
        body = meter_body(meter)
        try:
            api.post("/v1/meters", body)
        except Conflict:
            _check_same(body, api.get(f"/v1/meters/{body['code']}")["meter"])


def wait_until_counted(
    api: UsageApi, *, clock: Callable[[], float], pause: Callable[[float], object], timeout: float
) -> None:
    """Waits until the usage includes all frames now in the log, also for the run's new meters.

    Raises Overloaded after `timeout` seconds.
    """
    deadline = clock() + timeout
    goal = {each["partition"]: each["end_offset"] for each in _partitions(api)}
    while lag := _lag(api, goal):
        if clock() > deadline:
            raise Overloaded(f"not counted within {timeout:.0f} s: {lag}")
        pause(_PAUSE)


def prove(api: UsageApi, expected_usage: ExpectedUsage, run: str, *, start: int, end: int) -> tuple[MeterProof, ...]:
    """Compares every customer's value of every meter. The run's timestamps lie between `start` and `end`."""
    window = {"from": to_iso(start // MINUTE * MINUTE), "to": to_iso((end // MINUTE + 1) * MINUTE)}
    return tuple(
        _compare(code, expected, _found(api, code, run, window)) for code, expected in expected_usage.usage(run).items()
    )


def _check_same(expected: Mapping[str, Any], existing: Mapping[str, Any]) -> None:
    for field in ("event_name", "aggregation", "value_property", "group_by"):
        if (existing.get(field) or None) != (expected.get(field) or None):
            raise Conflict(
                f"the meter {expected['code']} exists with another {field} ({existing.get(field)!r}, not "
                f"{expected.get(field)!r}): load with a key of another account"
            )


def _partitions(api: UsageApi) -> list[dict[str, Any]]:
    partitions: list[dict[str, Any]] = api.get("/v1/status")["status"]["partitions"]
    return partitions


def _lag(api: UsageApi, goal: Mapping[int, int]) -> str:
    """The first partition or meter that is behind, as a message; empty if there is none."""
    for each in _partitions(api):
        if each["next_offset"] < goal.get(each["partition"], 0):
            return f"partition {each['partition']} is at frame {each['next_offset']} of {goal[each['partition']]}"
    for meter in METERS:
        if not api.get(f"/v1/meters/{meter['code']}")["meter"]["backfill"]["done"]:
            return f"the meter {meter['code']} has not counted all past events"
    return ""


def _found(api: UsageApi, code: str, run: str, window: Mapping[str, str]) -> Values:
    grouped = {"group_by": "model"} if code == "load_cost" else {}
    return {
        (row["customer_id"], row["group"].get("model")): Decimal(row["value"])
        for row in _rows(api, {"meter": code, "window": "none", "limit": _PAGE, **window, **grouped})
        if row["customer_id"].startswith(run + "_")
    }


def _rows(api: UsageApi, params: Mapping[str, str | int]) -> Iterator[dict[str, Any]]:
    cursor: str | None = ""
    while cursor is not None:
        page = api.get("/v1/usage", **params, **({"cursor": cursor} if cursor else {}))
        yield from page["usage"]
        cursor = page["pagination"]["next_cursor"]


def _compare(code: str, expected: Values, found: Values) -> MeterProof:
    different = [
        f"{customer}{f' {model}' if model else ''}: sent {_text(expected, key)}, counted {_text(found, key)}"
        for key in sorted(expected.keys() | found.keys(), key=str)
        if expected.get(key) != found.get(key)
        for customer, model in [key]
    ]
    if len(different) > _SHOWN:
        different[_SHOWN:] = [f"… and {len(different) - _SHOWN} more"]
    return MeterProof(
        meter=code,
        values=len(expected),
        expected=sum(expected.values(), Decimal(0)),
        found=sum(found.values(), Decimal(0)),
        differences=tuple(different),
    )


def _text(values: Values, key: tuple[str, str | None]) -> str:
    value = values.get(key)
    return "nothing" if value is None else f"{value:f}"
