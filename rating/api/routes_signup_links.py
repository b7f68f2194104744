"""`/v1/subscription-signup-links`: creates signup links, which lead to `signup_page`."""

from typing import Any

import msgspec

from ingest_gateway.http.envelope import Success
from ingest_gateway.http.resource import PathParams, RequestBody, Resource
from ingest_gateway.http.route import Route
from rating.api.ports import SignupLinks
from rating.api.signup_page import PATH
from rating.api.validation import raise_if_any
from schemas.command import Applied, Command
from schemas.signup import CreatedSignupLink, NewSignupLink, check_signup
from schemas.timestamps import to_iso


class SignupLinkDocument(msgspec.Struct, kw_only=True):
    """A signup link. Its token and URL are shown only in this response."""

    id: str
    token: str
    url: str
    customer_id: str
    plan_code: str
    plan_version: int
    previous_subscription_id: str | None
    success_url: str | None
    back_url: str | None
    expires_at: str
    created_at: str


class OneSignupLink(Success, kw_only=True):
    """One signup link."""

    subscription_signup_link: SignupLinkDocument


def signup_link_routes(links: SignupLinks, public_url: str) -> list[Route]:
    """Administrators create signup links; the customers that hold them need no key."""
    base = public_url.rstrip("/")

    async def create(command: Command, _: PathParams, new: NewSignupLink) -> Applied[CreatedSignupLink]:
        # A token is shown once: the port refuses a repeated command instead of answering it again.
        return Applied(answer=await links.create(command, new))

    def document(created: CreatedSignupLink) -> dict[str, Any]:
        link = created.link
        return {
            "id": link.id,
            "token": created.token,
            "url": base + PATH.format(token=created.token),
            "customer_id": link.customer_id,
            "plan_code": link.plan_code,
            "plan_version": link.plan_version,
            "previous_subscription_id": link.previous_subscription_id,
            "success_url": link.success_url,
            "back_url": link.back_url,
            "expires_at": to_iso(link.expires_at),
            "created_at": to_iso(link.created_at),
        }

    return [
        Resource.named("subscription_signup_link", OneSignupLink, document).create(
            "/v1/subscription-signup-links", "Create a link to subscribe", RequestBody(NewSignupLink, _checked), create
        )
    ]


def _checked(new: NewSignupLink) -> NewSignupLink:
    raise_if_any(check_signup(new))
    return new
