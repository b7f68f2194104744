"""The proof after a load finds every difference, and waits until everything is counted."""

from collections.abc import Callable
from typing import Any

import pytest

from schemas.errors import Conflict, Overloaded
from tallyhouse.load.expected_usage import METERS, ExpectedUsage, meter_body
from tallyhouse.load.proof import prepare_meters, prove, wait_until_counted
from tallyhouse.load.workload import Workload, WorkloadShape

RUN = "run00001"
NOW = 1_795_262_400_000_000
SHAPE = WorkloadShape(customers=20)
PAGE = 7


class SpoilingServer:
    """The HTTP API with given usage, which `spoil` falsifies row by row."""

    def __init__(self, expected_usage: ExpectedUsage | None = None) -> None:
        self.meters: dict[str, dict[str, Any]] = {}
        self.usage = expected_usage.usage(RUN) if expected_usage else {}
        self.spoil: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda row: row
        self.offsets = [0]

    def post(self, path: str, body: Any) -> dict[str, Any]:
        assert path == "/v1/meters"
        if body["code"] in self.meters:
            raise Conflict("taken")
        self.meters[body["code"]] = {"value_property": None, "group_by": {}, "backfill": {"done": True}, **body}
        return {"meter": self.meters[body["code"]]}

    def get(self, path: str, **params: str | int) -> dict[str, Any]:
        if path == "/v1/status":
            at = self.offsets.pop(0) if len(self.offsets) > 1 else self.offsets[0]
            return {"status": {"partitions": [{"partition": 0, "next_offset": at, "end_offset": 3}]}}
        if path.startswith("/v1/meters/"):
            return {"meter": self.meters[path.rsplit("/", 1)[1]]}
        return self._page(str(params["meter"]), int(params.get("cursor", 0)))

    def _page(self, meter: str, start: int) -> dict[str, Any]:
        rows = [
            {"customer_id": customer, "group": {"model": model} if model else {}, "value": str(value)}
            for (customer, model), value in self.usage[meter].items()
        ]
        shown = [spoiled for row in rows[start : start + PAGE] if (spoiled := self.spoil(row))]
        following = start + PAGE
        return {"usage": shown, "pagination": {"next_cursor": str(following) if following < len(rows) else None}}


def sent() -> ExpectedUsage:
    expected_usage = ExpectedUsage(SHAPE)
    expected_usage.add(Workload(SHAPE, RUN).batch(300, NOW).fresh)
    return expected_usage


def test_equal_usage_has_no_differences() -> None:
    """Across all pages and all five meters."""
    expected_usage = sent()
    proofs = prove(SpoilingServer(expected_usage), expected_usage, RUN, start=NOW, end=NOW)
    assert [proof.meter for proof in proofs if proof.differences or proof.expected != proof.found] == []
    assert {proof.meter for proof in proofs} == {meter["code"] for meter in METERS}
    assert next(proof for proof in proofs if proof.meter == "load_requests").expected == 300


@pytest.mark.parametrize(
    "spoil",
    [
        lambda row: None if row["customer_id"].endswith("_0000") else row,
        lambda row: {**row, "value": row["value"] + "1"},
        lambda row: {**row, "customer_id": row["customer_id"] + "9"},
    ],
)
def test_every_difference_is_found(spoil: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
    """A missing row, a wrong value, an extra row."""
    expected_usage = sent()
    server = SpoilingServer(expected_usage)
    server.spoil = spoil
    assert [
        proof.meter for proof in prove(server, expected_usage, RUN, start=NOW, end=NOW) if not proof.differences
    ] == []


def test_usage_of_other_runs_is_ignored() -> None:
    """All runs share the meters; their customers have different names."""
    expected_usage = sent()
    server = SpoilingServer(expected_usage)
    server.usage = {
        code: dict(values) | {("other000_0001", None): next(iter(values.values()))}
        for code, values in server.usage.items()
    }
    assert [proof for proof in prove(server, expected_usage, RUN, start=NOW, end=NOW) if proof.differences] == []


def test_existing_meters_are_reused_if_they_are_the_same() -> None:
    server = SpoilingServer()
    prepare_meters(server)
    prepare_meters(server)
    assert set(server.meters) == {meter["code"] for meter in METERS}
    server.meters["load_tokens"]["value_property"] = "$.other"
    with pytest.raises(Conflict, match=r"load_tokens exists with another value_property"):
        prepare_meters(server)


def counting_server(*offsets: int) -> SpoilingServer:
    server = SpoilingServer()
    for meter in METERS:
        server.post("/v1/meters", meter_body(meter))
    server.offsets = list(offsets)
    return server


def test_the_proof_waits_until_everything_is_counted() -> None:
    """All frames that are in the log at the end of the load."""
    pauses: list[float] = []
    wait_until_counted(counting_server(0, 0, 2, 3), clock=lambda: 0, pause=pauses.append, timeout=1)
    assert len(pauses) == 2


def test_counting_that_does_not_finish_is_an_error() -> None:
    """With the partition and its offset."""
    ticks = iter(range(100))
    with pytest.raises(Overloaded, match=r"partition 0 is at frame 2 of 3"):
        wait_until_counted(counting_server(2), clock=lambda: next(ticks), pause=lambda _: None, timeout=5)


def test_the_proof_waits_for_backfills() -> None:
    """A new meter counts past events too."""
    server = counting_server(3)
    server.meters["load_users"]["backfill"]["done"] = False
    with pytest.raises(Overloaded, match=r"load_users has not counted"):
        wait_until_counted(server, clock=iter(range(100)).__next__, pause=lambda _: None, timeout=5)
