"""What a person sees when the process has started: where it listens, the first key, and commands to try."""

from string import Template

from ingest_gateway.settings import Settings
from schemas.timestamps import DAY, MINUTE, to_iso

_STARTED = Template("Tallyhouse is counting at $url, data in $data")

_FIRST_KEY = Template(
    """
Your first API key (scopes admin and backfill), shown this once and kept in $key_file:

  $first_key"""
)

_COMMANDS = Template(
    """
Make a meter, post an event, and ask for the usage:

  curl -s $url/v1/meters -H "Authorization: Bearer $key" \\
    -d '{"code":"tokens","name":"Tokens","event_name":"api.request","aggregation":"sum","value_property":"$$.tokens"}'

  curl -s $url/v1/events/ingest -H "Authorization: Bearer $key" -d '{"events":[{"event_name":"api.request",
    "idempotency_key":"try $minute","customer_id":"acme","timestamp":"$minute","properties":{"tokens":12.5}}]}'

  curl -s '$url/v1/usage?meter=tokens&window=day&from=$day&to=$next_day' -H "Authorization: Bearer $key"
"""
)


def welcome(settings: Settings, port: int, first_key: str | None, now: int) -> str:
    """Copy, paste, and it works."""
    day = now // DAY * DAY
    words = {
        "url": settings.url_at(port),
        "data": settings.data_dir.absolute(),
        "key_file": settings.key_file,
        "first_key": first_key,
        "key": first_key or _where_the_key_is(settings),
        "minute": to_iso(now // MINUTE * MINUTE),
        "day": to_iso(day),
        "next_day": to_iso(day + DAY),
    }
    parts = [_STARTED, _FIRST_KEY, _COMMANDS] if first_key else [_STARTED, _COMMANDS]
    return "\n".join(part.substitute(words) for part in parts)


def _where_the_key_is(settings: Settings) -> str:
    return f"$(cat {settings.key_file})" if settings.bootstrap_api_key is None else "$TALLYHOUSE_BOOTSTRAP_API_KEY"
