"""What all answers have in common."""

from typing import Any

import msgspec

from ingest_gateway.http.envelope import pagination
from schemas.listing import Page


class Success(msgspec.Struct, kw_only=True):
    """An answer to a request that was carried out."""

    success: bool
    request_id: str


class Pagination(msgspec.Struct, kw_only=True):
    """How to go on."""

    has_more: bool
    next_cursor: str | None


class Listed(Success, kw_only=True):
    """One page of a listing."""

    pagination: Pagination


def listed(found: Page, document: Any) -> tuple[list[Any], dict[str, Any]]:
    """A page's documents, and its `pagination`."""
    return [document(item) for item in found.items], pagination(found.next_cursor)
