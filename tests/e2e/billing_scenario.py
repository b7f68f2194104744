"""From events to audited invoices, over the API alone, for embedded mode and clusters."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from tests.server_process import GatewayClient, wait_until

PERIODS = 3
DAYS = 7
EVENTS = 600
PLAN = {
    "code": "weekly",
    "name": "Weekly",
    "currency": "USD",
    "interval": "week",
    "fixed_fees": [{"code": "base", "name": "Base fee", "amount_cents": 700, "timing": "advance"}],
    "usage_prices": [
        {
            "code": "tokens",
            "name": "Tokens",
            "meter": "tokens",
            "price": {"model": "per_unit", "unit_price": "0.0025"},
            "group_by": ["model"],
        }
    ],
}
METER = {
    "code": "tokens",
    "name": "Tokens",
    "event_name": "api.request",
    "aggregation": "sum",
    "value_property": "$.tokens",
    "group_by": {"model": "$.model"},
}


def bill_and_audit(api: GatewayClient) -> None:
    """Posts events twice, bills, finalizes and audits them; posts late events, bills them at the end, audits again."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = midnight - timedelta(days=PERIODS * DAYS + 1)
    customer, subscription = _subscribe(api, start)
    events = [_event(customer, number, start) for number in range(EVENTS)]
    for _ in range(2):
        api.post("/v1/events/ingest", {"events": events})
    api.wait_until_counted()
    assert _run(api)["turns"] == PERIODS + 1
    assert _run(api)["turns"] == 0
    invoices = api.get("/v1/invoices", customer_id=customer)["invoices"]
    assert sorted(map(_usage, invoices), key=str) == sorted([*_expected(events, start), {}], key=str)
    for invoice in invoices:
        final = api.post(f"/v1/invoices/{invoice['id']}/finalize", {})["invoice"]
        assert final["total_cents"] == final["subtotal_cents"] + final["tax_cents"]
    _audit(api, invoices)
    late = [_event(customer, EVENTS + number, start) for number in range(0, EVENTS, 11)]
    api.post("/v1/events/ingest", {"events": late})
    api.wait_until_counted()
    _audit(api, invoices)
    api.post(f"/v1/subscriptions/{subscription}/cancel", {"cancel_mode": "now"})
    assert _run(api)["turns"] == 1
    invoices = api.get("/v1/invoices", customer_id=customer)["invoices"]
    _audit(api, invoices)
    assert _billed(invoices, start) == _expected(events + late, start)


def _subscribe(api: GatewayClient, start: datetime) -> tuple[str, str]:
    """Creates a customer with a subscription since `start`; returns the ids of both."""
    api.post("/v1/meters", METER, expect=201)
    api.post("/v1/plans", PLAN, expect=201)
    rates = [{"name": "VAT", "percent": "19"}]
    customer: str = api.post("/v1/customers", {"name": "Acme", "tax_rates": rates}, expect=201)["customer"]["id"]
    new = {
        "customer_id": customer,
        "plan_code": "weekly",
        "start_date": start.isoformat(),
        "initial_status": "active",
    }
    return customer, api.post("/v1/subscriptions", new, expect=201)["subscription"]["id"]


def _event(customer: str, number: int, start: datetime) -> dict[str, Any]:
    """An event; a run of EVENTS of them is spread evenly over all periods that have ended."""
    at = start + timedelta(days=PERIODS * DAYS) * (number % EVENTS) / EVENTS
    return {
        "event_name": "api.request",
        "idempotency_key": f"billed_{number}",
        "customer_id": customer,
        "timestamp": at.isoformat().replace("+00:00", "Z"),
        "properties": {"tokens": number * 7 % 1000 + 0.25, "model": ("small", "large")[number % 2]},
    }


def _expected(events: list[dict[str, Any]], start: datetime) -> list[dict[str, int]]:
    """Model → cents of each period, by a plain loop."""
    sums: list[dict[str, Decimal]] = [{} for _ in range(PERIODS)]
    for event in events:
        place = (datetime.fromisoformat(event["timestamp"]) - start) // timedelta(days=DAYS)
        model, tokens = event["properties"]["model"], Decimal(str(event["properties"]["tokens"]))
        sums[place][model] = sums[place].get(model, Decimal(0)) + tokens
    return [{model: _cents(value) for model, value in one.items()} for one in sums]


def _cents(tokens: Decimal) -> int:
    return int((tokens * Decimal("0.25")).quantize(Decimal(1), ROUND_HALF_UP))


def _usage(invoice: dict[str, Any]) -> dict[str, int]:
    lines = [line for line in invoice["line_items"] if line["usage"] is not None]
    return {line["usage"]["group"]["model"]: line["quantity"] * line["unit_amount_cents"] for line in lines}


def _billed(invoices: list[dict[str, Any]], start: datetime) -> list[dict[str, int]]:
    """Model → cents of each period, on all invoices together."""
    sums: list[dict[str, int]] = [{} for _ in range(PERIODS)]
    for line in (line for invoice in invoices for line in invoice["line_items"] if line["usage"] is not None):
        place = (datetime.fromisoformat(line["period_start"]) - start) // timedelta(days=DAYS)
        model = line["usage"]["group"]["model"]
        sums[place][model] = sums[place].get(model, 0) + line["amount_cents"]
    return sums


def _run(api: GatewayClient) -> dict[str, Any]:
    """Runs billing to its end; returns the run."""
    found: dict[str, Any] = api.post("/v1/invoice-runs", {}, expect=202)["invoice_run"]

    def ended() -> bool:
        nonlocal found
        found = api.get(f"/v1/invoice-runs/{found['id']}")["invoice_run"]
        return bool(found["state"] != "running")

    wait_until("the invoice run to end", ended)
    assert (found["state"], found["error"], found["waiting"]) == ("done", None, [])
    return found


def _audit(api: GatewayClient, invoices: list[dict[str, Any]]) -> None:
    for invoice in invoices:
        response = api.get(f"/v1/invoices/{invoice['id']}/audit")["audit"]
        assert response["right"], response
        assert {line["difference"] for line in response["lines"]} <= {"0"}
        assert len(response["lines"]) == sum(line["usage"] is not None for line in invoice["line_items"])
