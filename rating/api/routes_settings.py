"""`/v1/settings`: the billing settings of an account."""

from typing import Any

import msgspec

from ingest_gateway.http.envelope import Success
from ingest_gateway.http.resource import RequestBody, Resource
from ingest_gateway.http.route import Route
from rating.api.ports import AccountBillingSettings
from schemas.billing_settings import BillingSettings, SettingsChanges

PATH = "/v1/settings"


class TheSettings(Success, kw_only=True):
    """All billing settings in force."""

    settings: BillingSettings


def settings_routes(settings_port: AccountBillingSettings) -> list[Route]:
    """Administrators change the settings, readers see them."""
    settings = Resource.named("settings", TheSettings, _document)
    return [
        settings.get(PATH, "Retrieve the account's billing settings", lambda account, _: settings_port.get(account)),
        settings.change(
            "PATCH",
            PATH,
            "Change given billing settings",
            RequestBody(SettingsChanges),
            lambda command, _, changes: settings_port.update(command, changes),
        ),
    ]


def _document(settings: BillingSettings) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(settings)
    return shown
