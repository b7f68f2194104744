"""Query parameters of listings."""

from typing import Annotated

import msgspec
from msgspec import Meta

from ingest_gateway.api.query import LARGEST_LIMIT, LIMIT
from schemas.subscription import Status
from schemas.texts import Email, Id, Name

Limit = Annotated[int, Meta(ge=1, le=LARGEST_LIMIT, description="How many at most.")]
Cursor = Annotated[Id, Meta(description="`next_cursor` of the page before.")]


class Paging(msgspec.Struct, frozen=True, kw_only=True):
    """Which page."""

    limit: Limit = LIMIT
    cursor: Cursor | None = None


class AuditParameters(Paging, frozen=True, kw_only=True):
    """Which entries of the audit log."""

    subject: Annotated[Id, Meta(description="The id of what was changed.")] | None = None


class SubscriptionParameters(Paging, frozen=True, kw_only=True):
    """Which subscriptions."""

    customer_id: Id | None = None
    status: Status | None = None


class CustomerParameters(msgspec.Struct, frozen=True, kw_only=True):
    """What to search for: exact values, at least one."""

    name: Name | None = None
    first_name: Name | None = None
    last_name: Name | None = None
    external_id: Name | None = None
    email: Email | None = None
