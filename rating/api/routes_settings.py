"""`/v1/settings`: what an account decides for its billing."""

from typing import Any

import msgspec

from ingest_gateway.http.description import Description
from ingest_gateway.http.envelope import Response, Success
from ingest_gateway.http.idempotency import applied_response, command_of
from ingest_gateway.http.request import Request
from ingest_gateway.http.route import Route
from ingest_gateway.http.validation import read_record
from rating.api.ports import AccountBillingSettings
from schemas.account import Scope
from schemas.billing_settings import BillingSettings, SettingsChanges

PATH = "/v1/settings"


class TheSettings(Success, kw_only=True):
    """All settings, as they hold."""

    settings: BillingSettings


class SettingsRoutes:
    """Administrators decide, readers see."""

    def __init__(self, settings: AccountBillingSettings) -> None:
        self._settings = settings

    def routes(self) -> list[Route]:
        reads = Description("Retrieve the account's billing settings", response_type=TheSettings)
        updates = Description("Change what is given of them", body_type=SettingsChanges, response_type=TheSettings)
        return [
            Route("GET", PATH, Scope.READ, self.get, reads),
            Route("PATCH", PATH, Scope.ADMIN, self.update, updates),
        ]

    async def get(self, request: Request) -> Response:
        return request.success(settings=_document(await self._settings.get(request.account)))

    async def update(self, request: Request) -> Response:
        document = await request.document()
        done = await self._settings.update(command_of(request, document), read_record(document, SettingsChanges))
        return applied_response(request, done, settings=_document(done.answer))


def _document(settings: BillingSettings) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(settings)
    return shown
