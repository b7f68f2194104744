"""The text after the start: addresses, and at the first start the first key and commands to copy."""

from pathlib import Path
from string import Template

import msgspec

from schemas.timestamps import DAY, MINUTE, to_iso

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


class LaterStart(msgspec.Struct, frozen=True):
    """The ledger had keys before this start."""

    key: str
    """Where the key of this machine's commands is, and what is wrong with it, if anything is."""


def welcome(headline: str, url: str, key_file: Path, start: FirstStart | LaterStart, now: int) -> str:
    """Returns the headline and the way to the API; at the first start also the key and commands that work as they are.

    `url` is the gateway's address. The text ends with a newline.
    """
    words = {"headline": headline, "url": url, "key_file": key_file.absolute()}
    if isinstance(start, LaterStart):
        return _LATER_START.substitute(words, key_place=start.key)
    day = now // DAY * DAY
    words |= {
        "key": start.created_key or "$TALLYHOUSE_BOOTSTRAP_API_KEY",
        "minute": to_iso(now // MINUTE * MINUTE),
        "day": to_iso(day),
        "next_day": to_iso(day + DAY),
    }
    parts = [_FIRST_START, *([_FIRST_KEY] if start.created_key else []), _COMMANDS]
    return "".join(part.substitute(words) for part in parts)
