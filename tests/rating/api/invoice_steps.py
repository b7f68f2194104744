"""Invoices over the API, taken from draft to payment or credit note."""

from typing import Any

from tests.rating.api.billing_api import BillingApi
from tests.rating.api.published_schemas import assert_fits

VAT = [{"name": "VAT", "percent": "19"}]
CALLS = {"description": "API calls", "quantity": 1, "unit_amount_cents": 5000}


async def create_draft(billing_api: BillingApi, *lines: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Creates a draft, for a new customer unless one is named."""
    body = {"customer_id": fields.get("customer_id") or (await billing_api.customer())["id"]} | fields
    made: dict[str, Any] = (await billing_api.post("/v1/invoices", {**body, "line_items": lines or [CALLS]}))["invoice"]
    return made


async def create_final(billing_api: BillingApi, *lines: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Creates a draft and finalizes it."""
    draft = await create_draft(billing_api, *lines, **fields)
    final: dict[str, Any] = (await billing_api.post(f"/v1/invoices/{draft['id']}/finalize", status=200))["invoice"]
    return final


async def take_step(
    billing_api: BillingApi, invoice: dict[str, Any], name: str, body: Any = None, status: int = 200
) -> Any:
    """The invoice after the step, or the error."""
    reply = await billing_api.post(f"/v1/invoices/{invoice['id']}/{name}", body, status=status)
    if status == 200:
        assert_fits(reply, "InvoiceResponse")
    return reply["invoice"] if status == 200 else reply["error"]


async def credit(billing_api: BillingApi, invoice: dict[str, Any], status: int = 201, **body: Any) -> dict[str, Any]:
    """The response: credit note and invoice, or the error."""
    return await billing_api.post(f"/v1/invoices/{invoice['id']}/credit-notes", body, status=status)
