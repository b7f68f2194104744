"""The text after the start: addresses, and at the first start the first key and commands to copy."""

from pathlib import Path
from string import Template

import msgspec

from schemas.timestamps import DAY, MINUTE, to_iso
from tallyhouse.runtime.settings import ServiceSettings

_FIRST_START = Template(
    """$headline
The API reference, with a command to copy for every endpoint, is at $url/docs
"""
)

_FIRST_KEY = Template(
    """
Your first API key (scopes admin and backfill), shown this once and kept in $key_file:

  $key
"""
)

_COMMANDS = Template(
    """
Create a meter, post an event, and a second later, when the event is counted, query the usage:

  curl -s $url/v1/meters -H "Authorization: Bearer $key" \\
    -d '{"code":"tokens","name":"Tokens","event_name":"api.request","aggregation":"sum","value_property":"$$.tokens"}'

  curl -s $url/v1/events/ingest -H "Authorization: Bearer $key" -d '{"events":[{"event_name":"api.request",
    "idempotency_key":"try $minute","customer_id":"acme","timestamp":"$minute","properties":{"tokens":12.5}}]}'

  curl -s '$url/v1/usage?meter=tokens&window=day&from=$day&to=$next_day' -H "Authorization: Bearer $key"
"""
)

_LATER_START = Template("$headline\nAPI reference: $url/docs, API key: $key_place\n")


class FirstStart(msgspec.Struct, frozen=True):
    """The ledger got its first key at this start."""

    created_key: str | None
    """The key, unless it comes from TALLYHOUSE_BOOTSTRAP_API_KEY."""


def welcome(
    headline: str, settings: ServiceSettings, url: str, key_file: Path, first_start: FirstStart | None, now: int
) -> str:
    """Returns the headline and the way to the API; at the first start also the key and commands that work as they are.

    `url` is the gateway's address. The text ends with a newline.
    """
    is_configured = settings.bootstrap_api_key is not None
    words = {"headline": headline, "url": url, "key_file": key_file.absolute()}
    if first_start is None:
        place = "the one in TALLYHOUSE_BOOTSTRAP_API_KEY" if is_configured else f"kept in {words['key_file']}"
        return _LATER_START.substitute(words, key_place=place)
    day = now // DAY * DAY
    words |= {
        "key": first_start.created_key or "$TALLYHOUSE_BOOTSTRAP_API_KEY",
        "minute": to_iso(now // MINUTE * MINUTE),
        "day": to_iso(day),
        "next_day": to_iso(day + DAY),
    }
    parts = [_FIRST_START, *([_FIRST_KEY] if first_start.created_key else []), _COMMANDS]
    return "".join(part.substitute(words) for part in parts)
