"""`/subscribe/{token}`: a plan and its price, and the button that takes it. No script, nothing from elsewhere."""

from html import escape

from ingest_gateway.http.envelope import Response
from ingest_gateway.http.pages import BUTTON, FORM_BODY, form_page, redirect
from ingest_gateway.http.public_page import HTML_RESPONSE, html
from ingest_gateway.http.request import Description, PublicRoute
from rating.api.price_text import interval_text, price_lines
from rating.api.signup_ports import SignupLinks
from schemas.errors import Conflict, NotFound
from schemas.signup import SignupLink, SignupOffer
from schemas.subscribing import ChangeTiming

PATH = "/subscribe/{token}"

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem;color:#1c1c1c}"
    "table{width:100%;border-collapse:collapse}td{padding:.4rem 0;border-bottom:1px solid #ddd;vertical-align:top}"
    "button{font:inherit;padding:.6rem 1.6rem;margin:1.5rem 0}"
)
_GONE = {"LINK_USED": "This link was used already.", "LINK_EXPIRED": "This link has expired: it was good for 24 hours."}


class SignupPage:
    """Looking changes nothing; the button subscribes, once."""

    def __init__(self, links: SignupLinks) -> None:
        self._links = links

    def routes(self) -> list[PublicRoute]:
        gone = (409, 410)
        shows = Description(
            "Look at what a signup link offers",
            operation="get_offer",
            other_responses=HTML_RESPONSE,
            error_statuses=gone,
        )
        presses = Description(
            "Subscribe by a signup link",
            operation="accept_offer",
            more="What the button on the page sends. No key is needed.",
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
        return html(_page(offer.plan.name, _body(offer)))

    async def press(self, path: dict[str, str], request_id: str) -> Response:
        try:
            link = await self._links.accept(path["token"], request_id)
        except (NotFound, Conflict) as refusal:
            return _refused(refusal)
        if link.success_url is not None:
            return redirect(link.success_url)
        return html(_page("Thank you", f"<p>{_done(link)}</p>"))


def _refused(refusal: NotFound | Conflict) -> Response:
    """What the customer can do about it; the rest is between whoever sent the link and the API."""
    if isinstance(refusal, NotFound):
        return html(_page("No such link", "<p>There is no offer at this address. Is the link complete?</p>"), 404)
    if refusal.code in _GONE:
        ask = "If you still want to subscribe, ask whoever sent it for another."
        return html(_page("This link is no longer good", f"<p>{_GONE[refusal.code]} {ask}</p>"), 410)
    message = "You may be subscribed already, or the plan is not offered any more. Nothing was changed."
    return html(_page("This is not possible now", f"<p>{message} Ask whoever sent you the link.</p>"), 409)


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
        f"{_for_whom(offer)}{prices}<p>{escape(_terms(offer))}</p>"
        f"{BUTTON.format('Subscribe' if link.previous_subscription_id is None else 'Change plan')}{back}"
    )


def _for_whom(offer: SignupOffer) -> str:
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
