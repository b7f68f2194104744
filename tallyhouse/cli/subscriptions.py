"""`tallyhouse subscriptions`: who has bought what."""

from typing import Annotated, Any

import typer

from tallyhouse.cli.client import AsJson, Key, Url, every_row, open_api
from tallyhouse.cli.invoices import print_invoice
from tallyhouse.cli.plans import PlanCode
from tallyhouse.cli.printing import print_fields, print_json, print_rows

ALL = "/v1/subscriptions"
_COLUMNS = ("id", "customer_id", "plan_code", "plan_version", "status", "current_period_start", "current_period_end")

Id = Annotated[str, typer.Argument(help="The id that `tallyhouse subscriptions list` shows.")]
CustomerId = Annotated[str, typer.Argument(help="The id that `tallyhouse customers list` shows.")]


def create(
    customer_id: CustomerId,
    plan: PlanCode,
    pending: Annotated[bool, typer.Option("--pending", help="Not to begin yet.")] = False,
    start: Annotated[str | None, typer.Option("--start", help="ISO 8601 with offset; else now.")] = None,
    anchor_day: Annotated[int | None, typer.Option("--anchor-day", help="Of the month, 1 to 31; else 1.")] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Subscribe a customer to a plan, from now on unless said otherwise."""
    body: dict[str, Any] = {
        "customer_id": customer_id,
        "plan_code": plan,
        "initial_status": "pending" if pending else "active",
        "start_date": start,
        "billing_anchor_day": anchor_day,
    }
    with open_api(url, key) as api:
        made = api.post(ALL, {field: value for field, value in body.items() if value is not None})["subscription"]
        print_rows([made], _COLUMNS, as_json=as_json)


def list_(
    customer_id: Annotated[str | None, typer.Option("--customer", help="Only this one's.")] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """All subscriptions, newest first."""
    only = {} if customer_id is None else {"customer_id": customer_id}
    with open_api(url, key) as api:
        rows = list(every_row(api, ALL, "subscriptions", **only))
        print_rows(rows, _COLUMNS, as_json=as_json, if_empty="no subscriptions yet")


def cancel(
    subscription_id: Id,
    now: Annotated[bool, typer.Option("--now", help="At once, and not at the end of its period.")] = False,
    refund: Annotated[bool, typer.Option("--refund", help="With --now: give unused days of fees back.")] = False,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """End a subscription."""
    body = {"cancel_mode": "now" if now else "end_of_period"}
    if refund:
        body["cancel_now_prepaid_refund_policy"] = "prorate"
    with open_api(url, key) as api:
        print_rows([api.post(f"{ALL}/{subscription_id}/cancel", body)["subscription"]], _COLUMNS, as_json=as_json)


def show(subscription_id: Id, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """All that is known of one subscription."""
    with open_api(url, key) as api:
        print_fields(api.get(f"{ALL}/{subscription_id}")["subscription"], as_json=as_json)


def change_plan(
    subscription_id: Id,
    plan: PlanCode,
    now: Annotated[bool, typer.Option("--now", help="At once, and not at the end of its period.")] = False,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Change to another plan: the subscription ends, and another one follows it."""
    body = {"target_plan_code": plan, "change_mode": "now" if now else "end_of_period"}
    with open_api(url, key) as api:
        answer = api.post(f"{ALL}/{subscription_id}/change-plan", body)
        print_rows([answer["old_subscription"], answer["new_subscription"]], _COLUMNS, as_json=as_json)


def grant(
    subscription_id: Id,
    name: Annotated[str, typer.Argument(help="What it is for.")],
    amount: Annotated[str, typer.Argument(help="How much; a decimal number.")],
    currency: Annotated[str | None, typer.Option("--currency", help="ISO 4217, such as usd.")] = None,
    unit: Annotated[str | None, typer.Option("--unit", help="Or the code of a pricing unit.")] = None,
    expires: Annotated[str | None, typer.Option("--expires", help="ISO 8601 with offset; else never.")] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Grant credit to its customer."""
    given = {"currency_code": currency, "pricing_unit_code": unit, "expires_at": expires}
    body = {"name": name, "amount": amount} | {field: value for field, value in given.items() if value is not None}
    with open_api(url, key) as api:
        made = api.post(f"{ALL}/{subscription_id}/credit-grants", body)["credit_grant"]
        print_fields(made, as_json=as_json)


def link(customer_id: CustomerId, plan: PlanCode, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Make a link by which a customer subscribes to a plan within a day. Its address is shown this once."""
    with open_api(url, key) as api:
        made = api.post("/v1/subscription-signup-links", {"customer_id": customer_id, "plan_code": plan})
    if as_json:
        print_json(made["subscription_signup_link"])
    else:
        typer.echo(made["subscription_signup_link"]["url"])


def upcoming(subscription_id: Id, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """What it will be billed next, with what has been counted so far."""
    with open_api(url, key) as api:
        invoice = api.get(f"{ALL}/{subscription_id}/upcoming-invoice")["upcoming_invoice"]
    if as_json:
        print_json(invoice)
    else:
        print_invoice(invoice)


def commands() -> typer.Typer:
    """The group."""
    group = typer.Typer(no_args_is_help=True, help="Make, list, change and end subscriptions, and look ahead.")
    group.command("create")(create)
    group.command("link")(link)
    group.command("list")(list_)
    group.command("show")(show)
    group.command("change-plan")(change_plan)
    group.command("grant")(grant)
    group.command("cancel")(cancel)
    group.command("upcoming")(upcoming)
    return group
