"""Which running process a command talks to, and with which key."""

import os
from typing import Annotated

import typer

from schemas.errors import Unauthenticated
from tallyhouse.cli.client import ApiClient
from tallyhouse.runtime.environment import read_client_settings, read_settings

Url = Annotated[
    str | None, typer.Option("--url", help="Address of the running process; else TALLYHOUSE_URL, else host and port.")
]
Key = Annotated[
    str | None, typer.Option("--key", help="API key; else TALLYHOUSE_API_KEY, else the one in the data directory.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def find_url(url: str | None) -> str:
    """The nearest address that was named."""
    return url or read_client_settings(os.environ).url or read_settings(os.environ).url


def find_key(key: str | None) -> str:
    """The nearest key that was given."""
    if found := key or read_client_settings(os.environ).api_key:
        return found
    settings = read_settings(os.environ)
    if settings.bootstrap_api_key:
        return settings.bootstrap_api_key
    try:
        return settings.key_file.read_text().strip()
    except OSError:
        raise Unauthenticated(
            f"no API key: give one with --key or TALLYHOUSE_API_KEY ({settings.key_file} is not there or not readable)"
        ) from None


def open_api(url: str | None, key: str | None) -> ApiClient:
    """Close it, or use it as a context manager."""
    return ApiClient(find_url(url), find_key(key))
