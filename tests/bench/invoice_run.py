"""Measures an invoice run over a real store and ledger, in finalized invoices of five lines a second."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import msgspec

from tests.bench.connection import PlainConnection
from tests.bench.figures import Figure, TotalsDiffer
from tests.server_process import ServerProcess, wait_until

CONNECTIONS = 8
EVENTS_PER_CUSTOMER = 3
INVOICES_A_SECOND = 100_000 / 300
TIMEOUT = 3600.0

_TIERS = [{"up_to": "100", "unit_price": "0.07", "flat_fee": "1"}, {"up_to": None, "unit_price": "0.0333"}]
PRICES: dict[str, dict[str, Any]] = {
    "each": {"model": "per_unit", "unit_price": "0.0025"},
    "tiers": {"model": "graduated", "tiers": _TIERS},
    "volume": {"model": "volume", "tiers": _TIERS},
    "packs": {"model": "package", "package_size": "25", "package_price": "0.4"},
}
FEE_CENTS = 1000


def measure(data: Path, subscriptions: int) -> Figure:
    """Bills a week that has ended for every subscription, in one run."""
    with ServerProcess(data, log_level="warning", billing_every="0") as server:
        start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=8)
        _create_plan(server)
        customers = asyncio.run(_subscribe(server.port, subscriptions, start))
        quantities = asyncio.run(_post_events(server.port, customers, start))
        server.wait_until_counted()
        began = time.perf_counter()
        summary = _run(server)
        seconds = time.perf_counter() - began
        expected = sum(FEE_CENTS + sum(_cents(name, amount) for name in PRICES) for amount in quantities)
        if (summary["finalized"], summary["totals"]) != (subscriptions, {"USD": expected}):
            raise TotalsDiffer(f"{subscriptions} invoices should total {expected} cents, but the run reports {summary}")
        lines = server.get("/v1/invoices", customer_id=customers[-1])["invoices"][0]["line_items"]
        if len(lines) != 1 + len(PRICES):
            raise TotalsDiffer(f"an invoice has {len(lines)} lines")
        server.stop()
    return Figure(
        name="invoice run: finalized invoices of 5 lines",
        value=subscriptions / seconds,
        unit="invoices/s",
        target=INVOICES_A_SECOND,
        details={"subscriptions": subscriptions, "seconds": seconds, "turns": summary["turns"]},
    )


def _create_plan(server: ServerProcess) -> None:
    for name in PRICES:
        meter = {"code": name, "name": name, "event_name": "bench.used", "aggregation": "sum"}
        server.post("/v1/meters", meter | {"value_property": f"$.{name}"}, expect=201)
    fee = {"code": "base", "name": "Base", "amount_cents": FEE_CENTS, "timing": "arrears"}
    used = [{"code": name, "name": name, "meter": name, "price": price} for name, price in PRICES.items()]
    plan = {"code": "weekly", "name": "Weekly", "currency": "USD", "interval": "week"}
    server.post("/v1/plans", plan | {"fixed_fees": [fee], "usage_prices": used}, expect=201)
    assert server.client.patch("/v1/settings", json={"auto_finalize": True}).status_code == 200


async def _subscribe(port: int, subscriptions: int, start: datetime) -> list[str]:
    """Returns the ids of the new customers."""
    numbers = iter(range(subscriptions))
    made = await asyncio.gather(*(_subscribe_some(port, numbers, start) for _ in range(CONNECTIONS)))
    return [customer for some in made for customer in some]


async def _subscribe_some(port: int, numbers: Any, start: datetime) -> list[str]:
    connection = await PlainConnection.open(port)
    new = {"plan_code": "weekly", "start_date": start.isoformat(), "initial_status": "active"}
    made = []
    for number in numbers:
        response = await connection.request("POST", "/v1/customers", {"name": f"Customer {number}"}, expect=201)
        customer = msgspec.json.decode(response)["customer"]["id"]
        await connection.request("POST", "/v1/subscriptions", new | {"customer_id": customer}, expect=201)
        made.append(customer)
    connection.close()
    return made


async def _post_events(port: int, customers: list[str], start: datetime) -> list[int]:
    """Posts a few events for each customer; returns each customer's quantity, the same for every meter."""
    connection = await PlainConnection.open(port)
    quantities = [37 * number % 400 for number in range(len(customers))]
    events = [
        _event(customer, part, quantity if part == 0 else 1, start)
        for customer, quantity in zip(customers, quantities, strict=True)
        for part in range(EVENTS_PER_CUSTOMER)
    ]
    for place in range(0, len(events), 1000):
        await connection.request("POST", "/v1/events/ingest", {"events": events[place : place + 1000]})
    connection.close()
    return [quantity + EVENTS_PER_CUSTOMER - 1 for quantity in quantities]


def _event(customer: str, part: int, quantity: int, start: datetime) -> dict[str, Any]:
    return {
        "event_name": "bench.used",
        "idempotency_key": f"{customer}-{part}",
        "customer_id": customer,
        "timestamp": (start + timedelta(days=2 * part, hours=1)).isoformat(),
        "properties": dict.fromkeys(PRICES, quantity),
    }


def _run(server: ServerProcess) -> dict[str, Any]:
    run: dict[str, Any] = server.post("/v1/invoice-runs", {}, expect=202)["invoice_run"]

    def has_ended() -> bool:
        nonlocal run
        run = server.get(f"/v1/invoice-runs/{run['id']}")["invoice_run"]
        return bool(run["state"] != "running")

    wait_until("the run to end", has_ended, TIMEOUT)
    return run


def _cents(name: str, quantity: int) -> int:
    """Calculates each price independently of the product's code."""
    match name:
        case "each":
            amount = Decimal("0.0025") * quantity
        case "tiers":
            first, rest = min(quantity, 100), max(quantity - 100, 0)
            amount = 1 + Decimal("0.07") * first + Decimal("0.0333") * rest
        case "volume":
            amount = 1 + Decimal("0.07") * quantity if quantity <= 100 else Decimal("0.0333") * quantity
        case _:
            amount = Decimal("0.4") * -(-quantity // 25)
    return int((amount * 100).quantize(Decimal(1), ROUND_HALF_UP))
