"""API keys as requests and answers hold them."""

from typing import Annotated

import msgspec
from msgspec import Meta

from ingest_gateway.http.answers import Listed, Success
from schemas.account import Mode, Scope
from schemas.field_types import Name, TimestampText


class KeyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to be made."""

    name: Name
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1, description="What it may do.")]
    mode: Annotated[Mode | None, Meta(description="Else as the key that asks.")] = None
    expires_at: Annotated[TimestampText | None, Meta(description="From then on it is refused; null: never.")] = None


class KeyDocument(msgspec.Struct, kw_only=True):
    """A key. Its secret is not known to us."""

    id: str
    name: str
    mode: Mode
    prefix: Annotated[str, Meta(description="The first characters of the secret, to tell keys apart.")]
    scopes: list[Scope]
    created_at: str
    expires_at: str | None
    last_used_at: Annotated[str | None, Meta(description="To the minute or so.")]
    revoked_at: str | None


class NewKeyDocument(KeyDocument, kw_only=True):
    """A key just made."""

    token: Annotated[str, Meta(description="The secret, shown this once.")]


class OneKey(Success, kw_only=True):
    """One key."""

    api_key: KeyDocument


class CreatedKey(Success, kw_only=True):
    """A key and its secret."""

    api_key: NewKeyDocument


class KeyPage(Listed, kw_only=True):
    """One page of keys, oldest first."""

    api_keys: list[KeyDocument]
