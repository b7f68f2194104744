"""What a person sees when the process has started: where it listens, the first key, and commands to try."""

from pathlib import Path
from string import Template

from schemas.timestamps import DAY, MINUTE, to_iso
from tallyhouse.runtime.settings import EmbeddedSettings, ServiceSettings

_STARTED = Template("Tallyhouse is counting at $url, data in $data")

_FIRST_KEY = Template(
    """
Your first API key (scopes admin and backfill), shown this once and kept in $key_file:

  $first_key"""
)

_COMMANDS = Template(
    """
Make a meter, post an event, and a second later, when it is counted, ask for the usage:

  curl -s $url/v1/meters -H "Authorization: Bearer $key" \\
    -d '{"code":"tokens","name":"Tokens","event_name":"api.request","aggregation":"sum","value_property":"$$.tokens"}'

  curl -s $url/v1/events/ingest -H "Authorization: Bearer $key" -d '{"events":[{"event_name":"api.request",
    "idempotency_key":"try $minute","customer_id":"acme","timestamp":"$minute","properties":{"tokens":12.5}}]}'

  curl -s '$url/v1/usage?meter=tokens&window=day&from=$day&to=$next_day' -H "Authorization: Bearer $key"
"""
)


def welcome(settings: EmbeddedSettings, port: int, first_key: str | None, now: int) -> str:
    """Copy, paste, and it works."""
    url = settings.url_at(port)
    started = _STARTED.substitute(url=url, data=settings.data_dir.absolute())
    return "\n".join([started, quickstart_commands(settings, url, settings.key_file, first_key, now)])


def quickstart_commands(settings: ServiceSettings, url: str, key_file: Path, first_key: str | None, now: int) -> str:
    """The first key, if it was made just now, and commands to copy."""
    day = now // DAY * DAY
    words = {
        "url": url,
        "key_file": key_file,
        "first_key": first_key,
        "key": first_key or _key_expression(settings, key_file),
        "minute": to_iso(now // MINUTE * MINUTE),
        "day": to_iso(day),
        "next_day": to_iso(day + DAY),
    }
    parts = [_FIRST_KEY, _COMMANDS] if first_key else [_COMMANDS]
    return "\n".join(part.substitute(words) for part in parts)


def _key_expression(settings: ServiceSettings, key_file: Path) -> str:
    return f"$(cat {key_file})" if settings.bootstrap_api_key is None else "$TALLYHOUSE_BOOTSTRAP_API_KEY"
