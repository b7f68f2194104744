"""The API reference as one HTML page, with a shell command for each operation; and the start page."""

import json
import re
import shlex
from collections.abc import Iterator
from html import escape
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from ingest_gateway.openapi.names import resource, singular
from ingest_gateway.openapi.samples import CODES, NOW

STYLE = """
:root {
  color-scheme: light dark;
  --ink: #1d2733; --faint: #5b6878; --paper: #fdfdfb; --line: #dcdfe4; --tint: #f1f3f5; --mark: #14639e;
}
@media (prefers-color-scheme: dark) {
  :root { --ink: #dde3ea; --faint: #97a3b2; --paper: #14181d; --line: #2d353f; --tint: #1c2229; --mark: #7cb8ee; }
}
* { box-sizing: border-box; }
body { margin: 0; display: flex; font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
nav { position: sticky; top: 0; flex: 0 0 17rem; height: 100vh; overflow-y: auto; padding: 1rem 1.2rem;
  border-right: 1px solid var(--line); font-size: .9rem; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav h3 { margin: 1rem 0 .2rem; color: var(--faint); font-size: .8rem; text-transform: uppercase; }
main { flex: 1; min-width: 0; max-width: 58rem; padding: 1rem 2rem 6rem; }
h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); }
article { margin: 2.5rem 0; scroll-margin-top: 1rem; }
a { color: var(--mark); text-decoration: none; }
a:hover { text-decoration: underline; }
pre { overflow-x: auto; padding: .8rem 1rem; border-radius: 6px; background: var(--tint); }
code { font: .88em/1.5 ui-monospace, monospace; }
table { width: 100%; border-collapse: collapse; font-size: .92rem; }
th, td { padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
em, small, th { color: var(--faint); font-style: normal; font-weight: normal; }
em { font-size: .8rem; }
dt { float: left; clear: left; width: 3.2rem; font-weight: 600; }
dd { margin: 0 0 .3rem 3.2rem; }
.at b { padding: .1rem .5rem; border-radius: 4px; background: var(--tint); font-size: .85rem; }
@media (max-width: 50rem) {
  body { display: block; }
  nav { position: static; width: auto; height: auto; }
  main { padding: 1rem; }
}
"""


Schema = dict[str, Any]

_LIMITS = {
    "minLength": "at least {} characters",
    "maxLength": "up to {} characters",
    "minimum": "from {}",
    "maximum": "to {}",
    "minItems": "at least {}",
    "maxItems": "up to {}",
    "maxProperties": "up to {}",
    "default": "default {}",
}


class Field(NamedTuple):
    """One row of a record."""

    name: str
    shown: str
    required: bool
    description: str


def fields_of(schema: Schema) -> Iterator[Field]:
    required = schema.get("required", [])
    for name, inner in schema.get("properties", {}).items():
        yield Field(name, shown_type(inner), name in required, inner.get("description", ""))


def shown_type(schema: Schema) -> str:
    """The type as HTML; a record is a link to its section."""
    limits = [words.format(schema[name]) for name, words in _LIMITS.items() if name in schema and schema[name] != {}]
    limits_text = ", ".join(limits)
    return f"{_bare(schema)} <small>{escape(limits_text)}</small>" if limits_text else _bare(schema)


def _bare(schema: Schema) -> str:
    match schema:
        case {"$ref": reference}:
            name = reference.rpartition("/")[2]
            return f'<a href="#{name}">{name}</a>'
        case {"enum": values}:
            return " | ".join(f"<code>{escape(str(value))}</code>" for value in values)
        case {"anyOf": choices} | {"oneOf": choices}:
            return " | ".join(shown_type(choice) for choice in choices)
        case {"type": "array", "items": {} as items}:
            return f"list of {shown_type(items)}"
        case {"type": "object", "additionalProperties": {} as values} if values:
            return f"object of {shown_type(values)}"
        case {"type": kind}:
            return escape(schema.get("format", str(kind)))
        case _:
            return "anything"


JsonObject = dict[str, Any]

KEY = "TALLYHOUSE_API_KEY"
FORM = "application/x-www-form-urlencoded"

_EVENT_TIME = re.compile(f'("(?:time|timestamp)": "){NOW}"')
_NOW = "'$(date -u +%Y-%m-%dT%H:%M:%SZ)'"
_START = f"""export {KEY}=$(cat data/api_key)"""


def render(document: JsonObject) -> str:
    """The whole reference."""
    areas = "".join(_area(document, tag["name"]) for tag in document["tags"])
    title = escape(document["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} API</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body><nav><h2>{title}</h2>{_contents(document)}</nav><main><h1>{title} API</h1>"
        f"<p>{_words(document['info']['description'])}</p>{_conventions()}{areas}{_records(document)}</main></body></html>"
    )


def render_start_page(title: str) -> str:
    """The page at `/`: links to the reference and to the state of the service."""
    title = escape(title)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body><main><h1>{title}</h1><p>Usage events in, exact usage and invoices out.</p><ul>"
        '<li><a href="/docs">API reference</a></li>'
        '<li><a href="/openapi.json">OpenAPI document</a></li>'
        '<li>Status: <a href="/healthz">alive</a>, <a href="/readyz">ready</a></li>'
        "</ul></main></body></html>"
    )


def _conventions() -> str:
    return (
        "<p>The commands below work as printed. <code>tallyhouse serve</code> writes its first key into the data "
        "directory; ids in the commands are shell variables, such as <code>CUSTOMER_ID</code> for the id of a new "
        "customer.</p>"
        f"<pre><code>{_START}</code></pre>"
        '<p>The same for programs: <a href="/openapi.json">openapi.json</a>. All error responses have one form, '
        '<a href="#ErrorResponse">ErrorResponse</a>.</p>'
    )


def _operations(document: JsonObject, area: str) -> Iterator[tuple[str, str, JsonObject]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if area in operation["tags"]:
                yield path, method, operation


def _contents(document: JsonObject) -> str:
    def links(area: str) -> str:
        return "".join(
            f'<li><a href="#{operation["operationId"]}">{escape(operation["summary"])}</a></li>'
            for _, _, operation in _operations(document, area)
        )

    names = [tag["name"] for tag in document["tags"]]
    return "".join(f"<h3>{escape(name)}</h3><ul>{links(name)}</ul>" for name in names)


def _area(document: JsonObject, area: str) -> str:
    shown = (_operation(document, *each) for each in _operations(document, area))
    return f"<section><h2>{escape(area)}</h2>{''.join(shown)}</section>"


def _operation(document: JsonObject, path: str, method: str, operation: JsonObject) -> str:
    server = document["servers"][0]["url"]
    return (
        f'<article id="{operation["operationId"]}"><h3>{escape(operation["summary"])}</h3>'
        f'<p class="at"><b class="{method}">{method.upper()}</b> <code>{escape(path)}</code></p>'
        f"<p>{_words(operation['description'])}</p>"
        f"{_parameters(operation)}{_body(operation)}"
        f"<pre><code>{escape(command(server, path, method, operation))}</code></pre>"
        f"{_responses(document, operation)}</article>"
    )


def _parameters(operation: JsonObject) -> str:
    rows = (
        f"<tr><td><code>{escape(each['name'])}</code>{_required(required=each['required'])}</td>"
        f"<td>{each['in']}</td><td>{shown_type(each['schema'])}</td><td>{_words(each.get('description', ''))}</td></tr>"
        for each in operation.get("parameters", [])
    )
    table = "".join(rows)
    return f"<table><tr><th>parameter</th><th>in</th><th>type</th><th></th></tr>{table}</table>" if table else ""


def _body(operation: JsonObject) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    forms = (
        f"<li><code>{media_type}</code>: {shown_type(media.get('schema', {}))}</li>"
        for media_type, media in content.items()
    )
    return f"<h4>Body</h4><ul>{''.join(forms)}</ul>" if content else ""


def _responses(document: JsonObject, operation: JsonObject) -> str:
    rows = "".join(_response(document, status, response) for status, response in operation["responses"].items())
    return f"<h4>Responses</h4><dl>{rows}</dl>"


def _response(document: JsonObject, status: str, response: JsonObject) -> str:
    name = response.get("$ref", "").rpartition("/")[2]
    if name:
        response = document["components"]["responses"][name]
        return f"<dt>{status}</dt><dd>{escape(response['description'])}</dd>"
    forms = "".join(_form(media_type, media) for media_type, media in response.get("content", {}).items())
    return f"<dt>{status}</dt><dd>{escape(response['description'])}{forms}</dd>"


def _form(media_type: str, media: JsonObject) -> str:
    examples = "".join(
        f"<pre><code>{escape(_text(example['value']))}</code></pre>" for example in media.get("examples", {}).values()
    )
    shown = f" <code>{media_type}</code>: {shown_type(media.get('schema', {}))}"
    return f"{shown}<details><summary>example</summary>{examples}</details>" if examples else shown


def _records(document: JsonObject) -> str:
    shown = (_record(name, schema) for name, schema in document["components"]["schemas"].items())
    return f"<section><h2>Records</h2>{''.join(shown)}</section>"


def _record(name: str, schema: JsonObject) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(field.name)}</code>{_required(required=field.required)}</td><td>{field.shown}</td>"
        f"<td>{_words(field.description)}</td></tr>"
        for field in fields_of(schema)
    )
    head = "<tr><th>field</th><th>type</th><th></th></tr>"
    inside = f"<table>{head}{rows}</table>" if rows else f"<p>{shown_type(schema)}</p>"
    return f'<article id="{name}"><h3>{name}</h3><p>{_words(schema.get("description", ""))}</p>{inside}</article>'


def _required(*, required: bool) -> str:
    return " <em>required</em>" if required else ""


def _words(text: str) -> str:
    """Text between backticks becomes code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def command(server: str, path: str, method: str, operation: JsonObject) -> str:
    """A shell command that works as printed; ids, which the service creates, are shell variables."""
    return " \\\n  ".join([f"curl {_url(server, path, operation)}", *_options(method, operation)])


def variable(path: str, name: str) -> str:
    """`CUSTOMER_ID` of `/v1/customers/{id}`."""
    words = singular(resource(path, name)) if name in ("id", "code", "token") else ""
    return "_".join(filter(None, (words, name))).replace("-", "_").upper()


def _url(server: str, path: str, operation: JsonObject) -> str:
    query = {each["name"]: each["example"] for each in _parameters_in(operation, "query") if "example" in each}
    for each in _parameters_in(operation, "path"):
        named = each["example"] if resource(path, each["name"]) in CODES else f"${variable(path, each['name'])}"
        path = path.replace(f"{{{each['name']}}}", named)
    query_string = f"?{urlencode(query, quote_via=quote, safe=':')}" if query else ""
    return f'"{server}{path}{query_string}"'


def _options(method: str, operation: JsonObject) -> Iterator[str]:
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


def _parameters_in(operation: JsonObject, place: str) -> list[JsonObject]:
    return [each for each in operation.get("parameters", []) if each["in"] == place]
