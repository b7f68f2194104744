"""`/v1/subscription-signup-links`: makes the links; `signup_page` is where they lead."""

import msgspec

from ingest_gateway.http.description import Description
from ingest_gateway.http.envelope import Response, Success
from ingest_gateway.http.idempotency import command_of
from ingest_gateway.http.request import Request
from ingest_gateway.http.route import Route
from ingest_gateway.http.validation import read_record
from rating.api.ports import SignupLinks
from rating.api.signup_page import PATH
from rating.api.validation import raise_if_any
from schemas.account import Scope
from schemas.signup import NewSignupLink, check_signup
from schemas.timestamps import to_iso


class SignupLinkDocument(msgspec.Struct, kw_only=True):
    """A link. Its token and its address are shown this once."""

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


class SignupLinkRoutes:
    """Administrators make links, whoever has one uses it."""

    def __init__(self, links: SignupLinks, public_url: str) -> None:
        self._links = links
        self._public_url = public_url.rstrip("/")

    def routes(self) -> list[Route]:
        description = Description(
            "Create a link to subscribe", body_type=NewSignupLink, response_type=OneSignupLink, status=201
        )
        return [Route("POST", "/v1/subscription-signup-links", Scope.ADMIN, self.create, description)]

    async def create(self, request: Request) -> Response:
        document = await request.document()
        new = read_record(document, NewSignupLink)
        raise_if_any(check_signup(new))
        made = await self._links.create(command_of(request, document), new)
        link = {
            "id": made.link.id,
            "token": made.token,
            "url": self._public_url + PATH.format(token=made.token),
            "customer_id": made.link.customer_id,
            "plan_code": made.link.plan_code,
            "plan_version": made.link.plan_version,
            "previous_subscription_id": made.link.previous_subscription_id,
            "success_url": made.link.success_url,
            "back_url": made.link.back_url,
            "expires_at": to_iso(made.link.expires_at),
            "created_at": to_iso(made.link.created_at),
        }
        return request.success(http_status=201, subscription_signup_link=link)
