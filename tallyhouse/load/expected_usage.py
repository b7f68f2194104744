"""The expected usage of a run: five meters, and their exact values for each customer."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np

from tallyhouse.load.workload import EVENT_NAME, MODELS, EventColumns, WorkloadShape, customer_id

Values = Mapping[tuple[str, str | None], Decimal]
"""(customer, model or None for a meter without groups) → value."""

METERS: tuple[Mapping[str, Any], ...] = (
    {"code": "load_requests", "aggregation": "count"},
    {"code": "load_tokens", "aggregation": "sum", "value_property": "$.tokens", "unit": "token"},
    {"code": "load_latency", "aggregation": "max", "value_property": "$.ms", "unit": "ms"},
    {"code": "load_cost", "aggregation": "sum", "value_property": "$.cost", "group_by": {"model": "$.model"}},
    {"code": "load_users", "aggregation": "unique", "value_property": "$.user"},
)
"""The posted meters, without name and event name."""


def meter_body(meter: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": f"Load: {meter['code'].removeprefix('load_')}", "event_name": EVENT_NAME, **meter}


class ExpectedUsage:
    """Sums up the sent events, each new one once."""

    def __init__(self, shape: WorkloadShape) -> None:
        self.events = 0
        self._requests = np.zeros((shape.customers, len(MODELS)), dtype=np.int64)
        self._tokens = np.zeros(shape.customers, dtype=np.int64)
        self._latency = np.zeros(shape.customers, dtype=np.int64)
        self._cost = np.zeros((shape.customers, len(MODELS)), dtype=np.int64)
        self._users = np.zeros(shape.customers, dtype=np.uint64)

    def add(self, sent: EventColumns) -> None:
        self.events += len(sent.customers)
        np.add.at(self._requests, (sent.customers, sent.models), 1)
        np.add.at(self._tokens, sent.customers, sent.tokens)
        np.maximum.at(self._latency, sent.customers, sent.latencies)
        np.add.at(self._cost, (sent.customers, sent.models), sent.costs)
        np.bitwise_or.at(self._users, sent.customers, np.uint64(1) << sent.users.astype(np.uint64))

    def usage(self, run: str) -> Mapping[str, Values]:
        """The values of each meter, for every customer (and model) that has one."""
        requests = self._requests.sum(axis=1)
        customers = np.flatnonzero(requests)
        plain = {
            "load_requests": requests[customers],
            "load_tokens": self._tokens[customers],
            "load_latency": self._latency[customers],
            "load_users": np.bitwise_count(self._users[customers]),
        }
        names = [customer_id(run, customer) for customer in customers.tolist()]
        usage: dict[str, Values] = {
            meter: {(name, None): Decimal(value) for name, value in zip(names, values.tolist(), strict=True)}
            for meter, values in plain.items()
        }
        # A cost of zero is a row too: any request makes one.
        usage["load_cost"] = {
            (customer_id(run, customer), MODELS[model]): Decimal(int(self._cost[customer, model])).scaleb(-4)
            for customer, model in np.argwhere(self._requests).tolist()
        }
        return usage
