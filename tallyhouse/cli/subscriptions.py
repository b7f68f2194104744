"""`tallyhouse subscriptions`: create, list, change and end subscriptions, and show the next invoice."""

from typing import Annotated, Any

import typer

from tallyhouse.cli.client import AsJson, Key, Url, every_row, open_api
from tallyhouse.cli.invoices import print_invoice
from tallyhouse.cli.moments import checked_moment
from tallyhouse.cli.plans import PlanCode
from tallyhouse.cli.printing import print_fields, print_json, print_rows

ALL = "/v1/subscriptions"
_COLUMNS = ("id", "customer_id", "plan_code", "plan_version", "status", "current_period_start", "current_period_end")

Id = Annotated[str, typer.Argument(help="The subscription's id, as `tallyhouse subscriptions list` shows it.")]
CustomerId = Annotated[str, typer.Argument(help="The customer's id, as `tallyhouse customers list` shows it.")]


def create(
    customer_id: CustomerId,
    plan: PlanCode,
    pending: Annotated[bool, typer.Option("--pending", help="Create it without starting it.")] = False,
    start: Annotated[
        str | None, typer.Option("--start", help="Start of the subscription, in ISO 8601 with offset. Default: now.")
    ] = None,
    anchor_day: Annotated[
        int | None, typer.Option("--anchor-day", help="Day of the month on which periods begin, 1 to 31. Default: 1.")
    ] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Subscribe a customer to a plan, from now on or from another start."""
    body: dict[str, Any] = {
        "customer_id": customer_id,
        "plan_code": plan,
        "initial_status": "pending" if pending else "active",
        "start_date": start and checked_moment("--start", start),
        "billing_anchor_day": anchor_day,
    }
    with open_api(url, key) as api:
        made = api.post(ALL, {field: value for field, value in body.items() if value is not None})["subscription"]
        print_rows([made], _COLUMNS, as_json=as_json)


def list_(
    customer_id: Annotated[
        str | None, typer.Option("--customer", help="Only subscriptions of the customer with this id.")
    ] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List all subscriptions, newest first."""
    only = {} if customer_id is None else {"customer_id": customer_id}
    with open_api(url, key) as api:
        rows = list(every_row(api, ALL, "subscriptions", **only))
        print_rows(rows, _COLUMNS, as_json=as_json, if_empty="no subscriptions yet")


def cancel(
    subscription_id: Id,
    now: Annotated[bool, typer.Option("--now", help="Act at once instead of at the end of the period.")] = False,
    refund: Annotated[
        bool, typer.Option("--refund", help="With --now: refund the unused days of prepaid fees.")
    ] = False,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Cancel a subscription."""
    body = {"cancel_mode": "now" if now else "end_of_period"}
    if refund:
        body["cancel_now_prepaid_refund_policy"] = "prorate"
    with open_api(url, key) as api:
        print_rows([api.post(f"{ALL}/{subscription_id}/cancel", body)["subscription"]], _COLUMNS, as_json=as_json)


def show(subscription_id: Id, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Show one subscription with all fields."""
    with open_api(url, key) as api:
        print_fields(api.get(f"{ALL}/{subscription_id}")["subscription"], as_json=as_json)


def change_plan(
    subscription_id: Id,
    plan: PlanCode,
    now: Annotated[bool, typer.Option("--now", help="Act at once instead of at the end of the period.")] = False,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Change to another plan: the subscription ends and a new one follows it."""
    body = {"target_plan_code": plan, "change_mode": "now" if now else "end_of_period"}
    with open_api(url, key) as api:
        answer = api.post(f"{ALL}/{subscription_id}/change-plan", body)
        print_rows([answer["old_subscription"], answer["new_subscription"]], _COLUMNS, as_json=as_json)


def grant(
    subscription_id: Id,
    name: Annotated[str, typer.Argument(help="Purpose of the credit.")],
    amount: Annotated[str, typer.Argument(help="Amount, as a decimal number.")],
    currency: Annotated[str | None, typer.Option("--currency", help="ISO 4217, such as usd.")] = None,
    unit: Annotated[str | None, typer.Option("--unit", help="Code of a pricing unit, instead of a currency.")] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", help="End of the credit, in ISO 8601 with offset. Default: none.")
    ] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Grant credit to the subscription's customer."""
    ends = expires and checked_moment("--expires", expires)
    given = {"currency_code": currency, "pricing_unit_code": unit, "expires_at": ends}
    body = {"name": name, "amount": amount} | {field: value for field, value in given.items() if value is not None}
    with open_api(url, key) as api:
        made = api.post(f"{ALL}/{subscription_id}/credit-grants", body)["credit_grant"]
        print_fields(made, as_json=as_json)


def link(customer_id: CustomerId, plan: PlanCode, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Create a link with which a customer subscribes to a plan, valid for a day. Its address is never shown again."""
    with open_api(url, key) as api:
        made = api.post("/v1/subscription-signup-links", {"customer_id": customer_id, "plan_code": plan})
    if as_json:
        print_json(made["subscription_signup_link"])
    else:
        typer.echo(made["subscription_signup_link"]["url"])


def upcoming(subscription_id: Id, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Show the subscription's next invoice, with the usage counted so far."""
    with open_api(url, key) as api:
        invoice = api.get(f"{ALL}/{subscription_id}/upcoming-invoice")["upcoming_invoice"]
    if as_json:
        print_json(invoice)
    else:
        print_invoice(invoice)


def commands() -> typer.Typer:
    group = typer.Typer(
        no_args_is_help=True, help="Create, list, change and end subscriptions, and show the next invoice."
    )
    group.command("create")(create)
    group.command("link")(link)
    group.command("list")(list_)
    group.command("show")(show)
    group.command("change-plan")(change_plan)
    group.command("grant")(grant)
    group.command("cancel")(cancel)
    group.command("upcoming")(upcoming)
    return group
