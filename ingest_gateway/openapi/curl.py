"""An operation as a shell command with the examples of the document; it works as printed."""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

from ingest_gateway.openapi.names import resource, singular
from ingest_gateway.openapi.samples import CODES, NOW

KEY = "TALLYHOUSE_API_KEY"
FORM = "application/x-www-form-urlencoded"

_EVENT_TIME = re.compile(f'("(?:time|timestamp)": "){NOW}"')
_NOW = "'$(date -u +%Y-%m-%dT%H:%M:%SZ)'"


def command(server: str, path: str, method: str, operation: dict[str, Any]) -> str:
    """Ids are shell variables, because the service creates them."""
    return " \\\n  ".join([f"curl {_url(server, path, operation)}", *_options(method, operation)])


def variable(path: str, name: str) -> str:
    """`CUSTOMER_ID` of `/v1/customers/{id}`."""
    words = singular(resource(path, name)) if name in ("id", "code", "token") else ""
    return "_".join(filter(None, (words, name))).replace("-", "_").upper()


def _url(server: str, path: str, operation: dict[str, Any]) -> str:
    query = {each["name"]: each["example"] for each in _parameters(operation, "query") if "example" in each}
    for each in _parameters(operation, "path"):
        named = each["example"] if resource(path, each["name"]) in CODES else f"${variable(path, each['name'])}"
        path = path.replace(f"{{{each['name']}}}", named)
    query_string = f"?{urlencode(query, quote_via=quote, safe=':')}" if query else ""
    return f'"{server}{path}{query_string}"'


def _options(method: str, operation: dict[str, Any]) -> Iterator[str]:
    if method not in ("get", "post"):
        yield f"-X {method.upper()}"
    if operation["security"]:
        yield f'-H "Authorization: Bearer ${KEY}"'
    body = operation.get("requestBody")
    if body is not None:
        media_type, media = next(iter(body["content"].items()))
        example = next(iter(media["examples"].values()))["value"]
        yield f"-H {shlex.quote(f'Content-Type: {media_type}')}"
        yield f"-d {_sent(media_type, example)}"
    elif method == "post":
        yield "-X POST"


def _sent(media_type: str, example: Any) -> str:
    """The body as one quoted shell word. Event times are the current time, because old events are refused."""
    if media_type == FORM:
        return shlex.quote(urlencode(example))
    return _EVENT_TIME.sub(rf'\1{_NOW}"', shlex.quote(json.dumps(example, indent=2, ensure_ascii=False)))


def _parameters(operation: dict[str, Any], place: str) -> list[dict[str, Any]]:
    return [each for each in operation.get("parameters", []) if each["in"] == place]
