"""`/v1/keys`: who may do what."""

from collections.abc import Callable

from ingest_gateway.api.documents import key_document
from ingest_gateway.api.key_records import CreatedKey, KeyPage, KeyRequest, OneKey
from ingest_gateway.http.auth import Authenticator
from ingest_gateway.http.envelope import Reply, page
from ingest_gateway.http.idempotency import act_of, answer
from ingest_gateway.http.paging import Paging, cut
from ingest_gateway.http.query import to_moment
from ingest_gateway.http.request import About, Call, Endpoint
from ingest_gateway.http.validation import read_record
from ingest_gateway.ports import Accounts, ApiKeys
from schemas.account import Mode, NewKey, Scope
from schemas.errors import Forbidden, Invalid
from schemas.ids import AccountId
from schemas.timestamps import to_iso

_ONCE = (
    "The secret is in this one answer and in no other. Repeated under its Idempotency-Key, this makes no second key: "
    "409 `SECRET_SHOWN_ONCE` names the first one. A live key may also make a test key, never the other way round."
)


class KeyRoutes:
    """An administrator's key makes, lists and revokes keys of its own account.

    A live key may also make the first test key; a test key never leads to live data.
    """

    def __init__(
        self, keys: ApiKeys, accounts: Accounts, authenticator: Authenticator, clock: Callable[[], int]
    ) -> None:
        self._keys = keys
        self._accounts = accounts
        self._authenticator = authenticator
        self._clock = clock

    def endpoints(self) -> list[Endpoint]:
        creates = About("Create an API key", takes=KeyRequest, gives=CreatedKey, status=201, more=_ONCE)
        revokes = About("Revoke an API key, at once and for ever", gives=OneKey)
        return [
            Endpoint("POST", "/v1/keys", Scope.ADMIN, self.create, creates),
            Endpoint("GET", "/v1/keys", Scope.ADMIN, self.index, About("List API keys", asks=Paging, gives=KeyPage)),
            Endpoint("POST", "/v1/keys/{id}/revoke", Scope.ADMIN, self.revoke, revokes),
        ]

    async def create(self, call: Call) -> Reply:
        document = await call.document()
        asked = read_record(document, KeyRequest)
        new = NewKey(
            account=await self._account(call, asked.mode or call.key.mode),
            name=asked.name,
            scopes=frozenset(asked.scopes),
            expires_at=self._expiry(asked.expires_at),
        )
        key, token = await self._keys.create(act_of(call, document), new)
        return call.success(http_status=201, api_key={**key_document(key), "token": token})

    async def index(self, call: Call) -> Reply:
        query = call.query(Paging)
        keys = await self._keys.list(call.account)
        shown, next_cursor = cut(keys, query.limit(), query.text("cursor"), key=lambda key: key.id)
        return call.success(api_keys=[key_document(key) for key in shown], pagination=page(next_cursor))

    async def revoke(self, call: Call) -> Reply:
        done = await self._keys.revoke(act_of(call), call.path["id"])
        self._authenticator.forget(done.answer.id)
        return answer(call, done, api_key=key_document(done.answer))

    async def _account(self, call: Call, mode: Mode) -> AccountId:
        if mode is call.key.mode:
            return call.account
        if mode is Mode.LIVE:
            raise Forbidden("a test key cannot make a live one; use a live key with the scope 'admin'")
        return await self._accounts.account_for(call.account, mode)

    def _expiry(self, text: str | None) -> int | None:
        if text is None:
            return None
        expires_at, now = to_moment(text, "expires_at"), self._clock()
        if expires_at <= now:
            raise Invalid(
                f"expires_at: {to_iso(expires_at)} is over, it is {to_iso(now)} now; give a later time, or none",
                field="expires_at",
            )
        return expires_at
