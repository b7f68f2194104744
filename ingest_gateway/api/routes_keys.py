"""`/v1/keys`: creates, lists and revokes API keys."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ingest_gateway.http.auth import Authenticator
from ingest_gateway.http.envelope import Listed, Response, Success, pagination
from ingest_gateway.http.idempotency import applied_response, command_of
from ingest_gateway.http.paging import Paging, paginate
from ingest_gateway.http.request import Request
from ingest_gateway.http.route import Description, Route
from ingest_gateway.http.validation import read_record
from ingest_gateway.ports import Accounts, ApiKeys
from schemas.account import ApiKey, Mode, NewApiKey, Scope
from schemas.errors import Forbidden, Invalid
from schemas.field_types import Name
from schemas.ids import AccountId
from schemas.moments import Moment
from schemas.timestamps import iso_or_none, to_iso


class KeyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to create a key."""

    name: Name
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1, description="The permissions of the key.")]
    mode: Annotated[Mode | None, Meta(description="Default: the mode of the key in use.")] = None
    expires_at: Annotated[Moment | None, Meta(description="The key is refused from then on; null: never.")] = None


class RevokeParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a revocation."""

    force: Annotated[
        bool,
        Meta(
            description="Revoke the key even if no other key with the scope `admin` is valid as long; without it that "
            "is a 409 `LAST_ADMIN_KEY`. Afterwards only `tallyhouse keys bootstrap`, on the machine, makes another."
        ),
    ] = False


class KeyDocument(msgspec.Struct, kw_only=True):
    """A key without its secret, of which only a hash is stored."""

    id: str
    name: str
    mode: Mode
    prefix: Annotated[str, Meta(description="The first characters of the secret, to recognize the key.")]
    scopes: list[Scope]
    created_at: str
    expires_at: str | None
    last_used_at: Annotated[str | None, Meta(description="Accurate to about a minute.")]
    revoked_at: str | None


class NewKeyDocument(KeyDocument, kw_only=True):
    """A new key with its secret."""

    token: Annotated[str, Meta(description="The secret, shown only in this response.")]


class OneKey(Success, kw_only=True):
    """One key."""

    api_key: KeyDocument


class CreatedKey(Success, kw_only=True):
    """A key and its secret."""

    api_key: NewKeyDocument


class KeyPage(Listed, kw_only=True):
    """One page of keys, oldest first."""

    api_keys: list[KeyDocument]


def key_document(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "mode": key.mode.value,
        "prefix": key.prefix,
        "scopes": sorted(key.scopes),
        "created_at": to_iso(key.created_at),
        "expires_at": iso_or_none(key.expires_at),
        "last_used_at": iso_or_none(key.last_used_at),
        "revoked_at": iso_or_none(key.revoked_at),
    }


_SHOWN_ONCE = (
    "Only this response holds the secret. A request repeated under its Idempotency-Key creates no second key: "
    "409 `SECRET_SHOWN_ONCE` names the first one. A live key may also create a test key, never the reverse."
)


class KeyRoutes:
    """An administrator's key creates, lists and revokes keys of its own account.

    A live key may also create a test key; a test key never reaches live data.
    """

    def __init__(
        self, keys: ApiKeys, accounts: Accounts, authenticator: Authenticator, clock: Callable[[], int]
    ) -> None:
        self._keys = keys
        self._accounts = accounts
        self._authenticator = authenticator
        self._clock = clock

    def routes(self) -> list[Route]:
        creates = Description(
            "Create an API key", body_type=KeyRequest, response_type=CreatedKey, status=201, details=_SHOWN_ONCE
        )
        revokes = Description(
            "Revoke an API key, immediately and permanently", query_type=RevokeParameters, response_type=OneKey
        )
        return [
            Route("POST", "/v1/keys", Scope.ADMIN, self.create, creates),
            Route(
                "GET",
                "/v1/keys",
                Scope.ADMIN,
                self.index,
                Description("List API keys", query_type=Paging, response_type=KeyPage),
            ),
            Route("POST", "/v1/keys/{id}/revoke", Scope.ADMIN, self.revoke, revokes),
        ]

    async def create(self, request: Request) -> Response:
        document = await request.document()
        requested = read_record(document, KeyRequest)
        new = NewApiKey(
            account=await self._account(request, requested.mode or request.key.mode),
            name=requested.name,
            scopes=frozenset(requested.scopes),
            expires_at=self._expiry(requested.expires_at),
        )
        key, token = await self._keys.create(command_of(request, document), new)
        return request.success(http_status=201, api_key={**key_document(key), "token": token})

    async def index(self, request: Request) -> Response:
        page = request.read_parameters(Paging)
        keys = await self._keys.list(request.account)
        shown, next_cursor = paginate(keys, page.limit, page.cursor, key=lambda key: key.id)
        return request.success(api_keys=[key_document(key) for key in shown], pagination=pagination(next_cursor))

    async def revoke(self, request: Request) -> Response:
        force = request.read_parameters(RevokeParameters).force
        applied = await self._keys.revoke(command_of(request), request.path_params["id"], force=force)
        self._authenticator.forget(applied.answer.id)
        return applied_response(request, applied, api_key=key_document(applied.answer))

    async def _account(self, request: Request, mode: Mode) -> AccountId:
        if mode is request.key.mode:
            return request.account
        if mode is Mode.LIVE:
            raise Forbidden("a test key cannot create a live one; use a live key with the scope 'admin'")
        return await self._accounts.account_for(request.account, mode)

    def _expiry(self, expires_at: int | None) -> int | None:
        now = self._clock()
        if expires_at is not None and expires_at <= now:
            raise Invalid(
                f"expires_at: {to_iso(expires_at)} is over, it is {to_iso(now)} now; give a later time, or none",
                field="expires_at",
            )
        return expires_at
