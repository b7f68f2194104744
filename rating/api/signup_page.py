"""`/subscribe/{token}`: the page of a signup link, with the plan's prices in words and the button that subscribes."""

from collections.abc import Iterator
from decimal import Decimal
from html import escape
from typing import assert_never

from ingest_gateway.http.envelope import Response
from ingest_gateway.http.pages import BUTTON, FORM_BODY, HTML_RESPONSE, form_action_to, form_page, html, redirect
from ingest_gateway.http.route import Description, PublicRoute
from rating.api.ports import SignupLinks
from schemas.errors import Conflict, NotFound
from schemas.money import to_major
from schemas.plan import FixedFee, PlanDefinition, Timing, UsagePrice
from schemas.price import Flat, Graduated, Package, PerUnit, Price, Tier, Volume
from schemas.quantity import to_text
from schemas.signup import SignupLink, SignupOffer
from schemas.subscription import ChangeTiming


def price_lines(plan: PlanDefinition) -> Iterator[tuple[str, str]]:
    """Pairs of a name and its price in words; each tier of a price has a line, and only the first has the name."""
    for fee in plan.fixed_fees:
        yield fee.name, _fee(fee, plan)
    for usage in plan.usage_prices:
        yield from _usage(usage, plan)


def interval_text(plan: PlanDefinition) -> str:
    """`every month`, `every 3 months`."""
    unit, count = plan.interval.value, plan.interval_count
    return f"every {unit}" if count == 1 else f"every {count} {unit}s"


def _fee(fee: FixedFee, plan: PlanDefinition) -> str:
    when = "in advance" if fee.timing is Timing.ADVANCE else "in arrears"
    return f"{to_major(fee.amount_cents, plan.currency):,f} {plan.currency} {interval_text(plan)}, {when}"


def _usage(usage: UsagePrice, plan: PlanDefinition) -> Iterator[tuple[str, str]]:
    name = usage.name
    for text in (*_model(usage.price, plan), *_adjusted(usage.price, plan)):
        yield name, text
        name = ""


def _model(price: Price, plan: PlanDefinition) -> Iterator[str]:
    currency = plan.currency
    match price:
        case Flat():
            yield f"{_money(price.amount, currency)} {interval_text(plan)}"
        case PerUnit():
            yield f"{_money(price.unit_price, currency)} a unit"
        case Graduated():
            yield from _tiers(price.tiers, currency, "of these")
        case Volume():
            yield from _tiers(price.tiers, currency, "of all")
        case Package():
            yield f"{_money(price.package_price, currency)} for each {to_text(price.package_size)} units"
            if price.free_units:
                yield f"the first {to_text(price.free_units)} units are free"
        case _:
            assert_never(price)


def _tiers(tiers: tuple[Tier, ...], currency: str, which: str) -> Iterator[str]:
    before = Decimal(0)
    for tier in tiers:
        reach = f"above {to_text(before)}" if tier.up_to is None else f"up to {to_text(tier.up_to)}"
        fee = f", and {_money(tier.flat_fee, currency)}" if tier.flat_fee else ""
        yield f"{reach}: {_money(tier.unit_price, currency)} a unit {which}{fee}"
        before = before if tier.up_to is None else tier.up_to


def _adjusted(price: Price, plan: PlanDefinition) -> Iterator[str]:
    if price.usage_discount:
        yield f"{to_text(price.usage_discount)} units are included"
    if price.percent_discount:
        yield f"less {to_text(price.percent_discount)} %"
    if price.minimum is not None:
        yield f"at least {_money(price.minimum, plan.currency)} {interval_text(plan)}"
    if price.maximum is not None:
        yield f"at most {_money(price.maximum, plan.currency)} {interval_text(plan)}"


def _money(amount: Decimal, currency: str) -> str:
    return f"{to_text(amount)} {currency}"


PATH = "/subscribe/{token}"

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem;color:#1c1c1c}"
    "table{width:100%;border-collapse:collapse}td{padding:.4rem 0;border-bottom:1px solid #ddd;vertical-align:top}"
    "button{font:inherit;padding:.6rem 1.6rem;margin:1.5rem 0}"
)
_GONE = {
    "LINK_USED": "This link was used already.",
    "LINK_EXPIRED": "This link has expired: it was valid for 24 hours.",
}


class SignupPage:
    """GET changes nothing; the button subscribes once."""

    def __init__(self, links: SignupLinks) -> None:
        self._links = links

    def routes(self) -> list[PublicRoute]:
        gone = (409, 410)
        shows = Description(
            "View the offer of a signup link",
            operation_id="get_offer",
            other_responses=HTML_RESPONSE,
            error_statuses=gone,
        )
        presses = Description(
            "Accept the offer of a signup link",
            operation_id="accept_offer",
            details="The button on the page sends this. No API key is needed.",
            other_bodies=FORM_BODY,
            other_responses=HTML_RESPONSE,
            may_redirect=True,
            error_statuses=gone,
        )
        return form_page(PATH, self.show, self.press, shows=shows, presses=presses)

    async def show(self, path: dict[str, str]) -> Response:
        try:
            offer = await self._links.offer(path["token"])
        except (NotFound, Conflict) as refusal:
            return _refused(refusal)
        return html(_page(offer.plan.name, _body(offer)), _STYLE, form_action=form_action_to(offer.link.success_url))

    async def press(self, path: dict[str, str], request_id: str) -> Response:
        try:
            link = await self._links.accept(path["token"], request_id)
        except (NotFound, Conflict) as refusal:
            return _refused(refusal)
        if link.success_url is not None:
            return redirect(link.success_url)
        return html(_page("Thank you", f"<p>{_done(link)}</p>"), _STYLE)


def _refused(refusal: NotFound | Conflict) -> Response:
    """Says what the customer can do; the reason of a conflict concerns only the sender of the link."""
    if isinstance(refusal, NotFound):
        page = _page("No such link", "<p>There is no offer at this address. Is the link complete?</p>")
        return html(page, _STYLE, 404)
    if refusal.code in _GONE:
        advice = "If you still want to subscribe, please ask the sender for a new one."
        return html(_page("This link is no longer valid", f"<p>{_GONE[refusal.code]} {advice}</p>"), _STYLE, 410)
    message = "You may be subscribed already, or the plan may no longer be offered. Nothing was changed."
    page = _page("This is not possible now", f"<p>{message} Please ask the sender of the link.</p>")
    return html(page, _STYLE, 409)


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>"
    )


def _body(offer: SignupOffer) -> str:
    plan, link = offer.plan, offer.link
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>" for name, text in price_lines(plan))
    prices = f"<table>{rows}</table>" if rows else "<p>Free of charge.</p>"
    back = "" if link.back_url is None else f'<p><a href="{escape(link.back_url)}">Back</a></p>'
    return (
        f"{_recipient(offer)}{prices}<p>{escape(_terms(offer))}</p>"
        f"{BUTTON.format('Subscribe' if link.previous_subscription_id is None else 'Change plan')}{back}"
    )


def _recipient(offer: SignupOffer) -> str:
    customer = offer.customer
    person = " ".join(part for part in (customer.first_name, customer.last_name) if part)
    name = customer.name or person or customer.email
    return f"<p>For {escape(name)}</p>" if name else ""


def _terms(offer: SignupOffer) -> str:
    plan, link = offer.plan, offer.link
    terms = [f"It renews {interval_text(plan)} until it is canceled."]
    if link.change_timing_mode is not None:
        when = "now" if link.change_timing_mode is ChangeTiming.NOW else "when your current period ends"
        terms.insert(0, f"It takes the place of your current plan {when}.")
    elif plan.trial_days:
        terms.insert(0, f"The first {plan.trial_days} days are free.")
    return " ".join(terms)


def _done(link: SignupLink) -> str:
    if link.change_timing_mode is ChangeTiming.END_OF_PERIOD:
        return "Your plan changes when the current period ends."
    return "You are subscribed."
