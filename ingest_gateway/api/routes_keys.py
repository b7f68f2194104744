"""`/v1/keys`: who may do what."""

from typing import Any

from ingest_gateway.api.auth import Authenticator
from ingest_gateway.api.documents import key_document
from ingest_gateway.api.endpoint import Call, Endpoint
from ingest_gateway.api.envelope import Reply, page
from ingest_gateway.api.paging import cut
from ingest_gateway.nearest import unknown_name
from ingest_gateway.ports import Accounts, ApiKeys
from schemas.account import Mode, Scope
from schemas.errors import Forbidden, Invalid
from schemas.event import NAME_LENGTH
from schemas.ids import AccountId

FIELDS = ("name", "scopes", "mode")


class KeyRoutes:
    """An administrator's key makes, lists and revokes keys of its own account.

    A live key may also make the first test key; a test key never leads to live data.
    """

    def __init__(self, keys: ApiKeys, accounts: Accounts, authenticator: Authenticator) -> None:
        self._keys = keys
        self._accounts = accounts
        self._authenticator = authenticator

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/v1/keys", Scope.ADMIN, self.create),
            Endpoint("GET", "/v1/keys", Scope.ADMIN, self.index),
            Endpoint("POST", "/v1/keys/{id}/revoke", Scope.ADMIN, self.revoke),
        ]

    async def create(self, call: Call) -> Reply:
        document = await call.document()
        for field in document.keys() - set(FIELDS):
            raise unknown_name("field", field[:NAME_LENGTH], FIELDS)
        name, scopes = _name(document.get("name")), _scopes(document.get("scopes"))
        account = await self._account(call, _mode(document.get("mode", call.key.mode)))
        key, token = await self._keys.create(account, name, scopes)
        return call.success(http_status=201, api_key={**key_document(key), "token": token})

    async def index(self, call: Call) -> Reply:
        query = call.query("limit", "cursor")
        keys = await self._keys.list(call.account)
        shown, next_cursor = cut(keys, query.limit(), query.text("cursor"), key=lambda key: key.id)
        return call.success(api_keys=[key_document(key) for key in shown], pagination=page(next_cursor))

    async def revoke(self, call: Call) -> Reply:
        key = await self._keys.revoke(call.account, call.path["id"])
        self._authenticator.forget(key.id)
        return call.success(api_key=key_document(key))

    async def _account(self, call: Call, mode: Mode) -> AccountId:
        if mode is call.key.mode:
            return call.account
        if mode is Mode.LIVE:
            raise Forbidden("a test key cannot make a live one; use a live key with the scope 'admin'")
        return await self._accounts.account_for(call.account, mode)


def _name(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= NAME_LENGTH or not value.isprintable():
        raise Invalid(f"name: expected a printable text of 1 to {NAME_LENGTH} characters", field="name")
    return value


def _scopes(value: Any) -> frozenset[Scope]:
    known = ", ".join(Scope)
    if not isinstance(value, list) or not value:
        raise Invalid(f'scopes: expected a list of one or more of {known}, such as ["ingest"]', field="scopes")
    for scope in value:
        if not isinstance(scope, str) or scope not in set(Scope):
            raise Invalid(f"scopes: expected only {known}; got {str(scope)[:60]!r}", field="scopes")
    return frozenset(Scope(scope) for scope in value)


def _mode(value: Any) -> Mode:
    if not isinstance(value, str) or value not in set(Mode):
        raise Invalid(f"mode: expected live or test; got {str(value)[:60]!r}", field="mode")
    return Mode(value)
