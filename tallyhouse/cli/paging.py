"""Reads a listing page by page."""

from collections.abc import Iterator
from typing import Any

from tallyhouse.cli.client import ApiClient


def every_row(api: ApiClient, path: str, resource: str, **params: str | int | list[str]) -> Iterator[dict[str, Any]]:
    """All rows of a listing, however many pages it has."""
    cursor: str | None = ""
    while cursor is not None:
        page = api.get(path, **params, **({"cursor": cursor} if cursor else {}))
        yield from page[resource]
        cursor = page["pagination"]["next_cursor"]
