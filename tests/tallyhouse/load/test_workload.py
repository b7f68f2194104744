"""The load generator's events are valid and seeded, and their expected usage is exact."""

import json
from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pytest

from tallyhouse.load.expected_usage import METERS, ExpectedUsage, meter_body
from tallyhouse.load.workload import Workload, WorkloadShape, cumulative_shares, new_run

NOW = 1_795_262_400_000_000
SHAPE = WorkloadShape(customers=50, duplicates=0.05)


def posted(workload: Workload, batches: int, expected_usage: ExpectedUsage) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for number in range(batches):
        batch = workload.batch(200, NOW + number)
        expected_usage.add(batch.fresh)
        events += json.loads(batch.body(), parse_float=Decimal)["events"]
    return events


def test_bodies_are_json_with_whole_events() -> None:
    """Each placeholder of the template is filled."""
    first = posted(Workload(SHAPE, "run00001"), 1, ExpectedUsage(SHAPE))[0]
    assert first["idempotency_key"] == "run00001-00000000"
    assert first["timestamp"] == "2026-11-21T12:00:00.000000Z"
    assert set(first["properties"]) == {"model", "tokens", "cost", "ms", "user"}


def test_an_event_is_about_210_bytes() -> None:
    """The size that the performance targets assume."""
    batch = Workload(SHAPE, "run00001").batch(10, NOW)
    assert 200 <= batch.rows.shape[1] - 1 <= 225


def test_the_same_seed_gives_the_same_bytes() -> None:
    """A run can be reproduced."""
    one, other = Workload(SHAPE, "run00001"), Workload(SHAPE, "run00001")
    assert [one.batch(100, NOW).body() for _ in range(3)] == [other.batch(100, NOW).body() for _ in range(3)]


def test_one_post_and_single_posts_hold_the_same_events() -> None:
    batch = Workload(SHAPE, "run00001").batch(20, NOW)
    events = json.loads(batch.body())["events"]
    assert [json.loads(single) for single in batch.single_events()] == events


def test_repeats_are_byte_for_byte_and_as_frequent_as_configured() -> None:
    """About one in twenty here; a repeat with another body would be a conflict."""
    events = posted(Workload(SHAPE, "run00001"), 100, ExpectedUsage(SHAPE))
    bodies = defaultdict(set)
    for event in events:
        bodies[event["idempotency_key"]].add(json.dumps(event, default=str))
    assert {len(forms) for forms in bodies.values()} == {1}
    assert 0.03 < 1 - len(bodies) / len(events) < 0.07


def test_the_expected_usage_equals_a_plain_recount() -> None:
    """Each key once, for every meter and every customer."""
    expected_usage = ExpectedUsage(SHAPE)
    events = {event["idempotency_key"]: event for event in posted(Workload(SHAPE, "run00001"), 30, expected_usage)}
    counted: dict[str, dict[Any, Any]] = {meter["code"]: defaultdict(Decimal) for meter in METERS}
    users = defaultdict(set)
    for event in events.values():
        customer, properties = event["customer_id"], event["properties"]
        counted["load_requests"][customer, None] += 1
        counted["load_tokens"][customer, None] += properties["tokens"]
        latency = counted["load_latency"]
        latency[customer, None] = max(latency[customer, None], properties["ms"])
        counted["load_cost"][customer, properties["model"]] += properties["cost"]
        users[customer, None].add(properties["user"])
    counted["load_users"] = {customer: Decimal(len(found)) for customer, found in users.items()}
    assert expected_usage.usage("run00001") == counted
    assert expected_usage.events == len(events)


def test_customers_follow_the_power_law() -> None:
    """The largest has its share, the others decrease, and each has some."""
    parts = np.diff(cumulative_shares(WorkloadShape()), prepend=0)
    assert parts[0] == pytest.approx(0.35)
    assert parts[1:].min() > 0
    assert list(parts) == sorted(parts, reverse=True)


def test_a_single_customer_gets_all_events() -> None:
    shape = WorkloadShape(customers=1)
    events = posted(Workload(shape, "run00001"), 1, ExpectedUsage(shape))
    assert Counter(event["customer_id"] for event in events) == {"run00001_0000": 200}


def test_a_runs_name_has_a_fixed_length() -> None:
    with pytest.raises(ValueError, match="8 characters"):
        Workload(SHAPE, "short")


def test_customers_are_limited_by_their_digits() -> None:
    """Customers with more digits would share ids."""
    with pytest.raises(ValueError, match="1 to 10000 customers"):
        Workload(WorkloadShape(customers=10_001), "run00001")


def test_meters_are_whole_definitions() -> None:
    """The five of the performance targets: count, sum, max, grouped sum, unique."""
    bodies = [meter_body(meter) for meter in METERS]
    assert [body["aggregation"] for body in bodies] == ["count", "sum", "max", "sum", "unique"]
    assert {body["event_name"] for body in bodies} == {"load.request"}
    assert msgspec.json.encode(bodies)


def test_runs_that_begin_at_the_same_moment_have_different_names() -> None:
    """Otherwise their events would be conflicts."""
    runs = {new_run() for _ in range(1_000)}
    assert len(runs) == 1_000
    for run in runs:
        Workload(WorkloadShape(), run)
