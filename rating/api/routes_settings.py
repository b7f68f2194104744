"""`/v1/settings`: what an account decides for its billing."""

from typing import Any, Protocol

import msgspec

from ingest_gateway.http.answers import Success
from ingest_gateway.http.envelope import Reply
from ingest_gateway.http.idempotency import act_of, answer
from ingest_gateway.http.request import About, Call, Endpoint
from ingest_gateway.http.validation import read_record
from schemas.account import Scope
from schemas.billing_settings import BillingSettings, SettingsChanges
from schemas.command import Act, Done
from schemas.ids import AccountId

PATH = "/v1/settings"


class Settings(Protocol):
    """What the account has decided, and defaults where it has not."""

    async def get(self, account: AccountId) -> BillingSettings: ...

    async def update(self, act: Act, changes: SettingsChanges) -> Done[BillingSettings]:
        """Raises Invalid where there is no such currency or time zone."""
        ...


class TheSettings(Success, kw_only=True):
    """All settings, as they hold."""

    settings: BillingSettings


class SettingsRoutes:
    """Administrators decide, readers see."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def endpoints(self) -> list[Endpoint]:
        reads = About("Retrieve the account's billing settings", gives=TheSettings)
        updates = About("Change what is given of them", takes=SettingsChanges, gives=TheSettings)
        return [
            Endpoint("GET", PATH, Scope.READ, self.get, reads),
            Endpoint("PATCH", PATH, Scope.ADMIN, self.update, updates),
        ]

    async def get(self, call: Call) -> Reply:
        return call.success(settings=_document(await self._settings.get(call.account)))

    async def update(self, call: Call) -> Reply:
        document = await call.document()
        done = await self._settings.update(act_of(call, document), read_record(document, SettingsChanges))
        return answer(call, done, settings=_document(done.answer))


def _document(settings: BillingSettings) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(settings)
    return shown
