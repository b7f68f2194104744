"""Query parameters of listings."""

from typing import Annotated

import msgspec
from msgspec import Meta

from ingest_gateway.http.paging import Paging
from schemas.field_types import Email, Id, Name
from schemas.subscription import Status


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
