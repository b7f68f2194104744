"""Operation ids and areas, derived from method and path."""

from collections.abc import Sequence

_VERBS = {"GET": "get", "POST": "create", "PUT": "replace", "PATCH": "update", "DELETE": "delete"}
_SERVICE = "Service"
_RESOURCE_BY_WORD = {"subscribe": "subscription-signup-links", "inv": "invoices"}
"""Pages name a resource by a shorter word than its API path does."""


def operation_id(method: str, path: str) -> str:
    """`GET /v1/customers` is `list_customers`, `POST /v1/keys/{id}/revoke` is `revoke_key`."""
    parts = _parts(path)
    *before, last = parts
    owner = singular(before[-2]) if len(before) > 1 and _is_variable(before[-1]) else ""
    if _is_variable(last):
        return _joined(_VERBS[method], _chain(before))
    if method == "GET" and (owner or not before):
        return _joined("list" if _is_plural(last) else "get", owner, last)
    if method == "GET":
        return _joined(last, before[-1])
    if owner and not _is_plural(last):
        verb, _, what = last.partition("-")
        return _joined(verb, owner, what)
    if owner or not before:
        return _joined(_VERBS[method], owner, singular(last))
    return _joined(last, before[-1])


def area(path: str) -> str:
    """The OpenAPI tag."""
    if not path.startswith(("/v1/", "/api/v1/")):
        return _SERVICE
    return _parts(path)[0].replace("-", " ").capitalize()


def resource(path: str, variable: str) -> str:
    """The resource that a variable part of a path names: `{id}` of `/v1/customers/{id}` is `customers`."""
    parts = path.strip("/").split("/")
    word = parts[parts.index(f"{{{variable}}}") - 1]
    return _RESOURCE_BY_WORD.get(word, word)


def singular(words: str) -> str:
    return words[:-1] if _is_plural(words) else words


def variables(path: str) -> list[str]:
    return [part.strip("{}") for part in path.split("/") if _is_variable(part)]


def _parts(path: str) -> list[str]:
    return path.removeprefix("/api").removeprefix("/v1").strip("/").split("/")


def _chain(parts: Sequence[str]) -> str:
    return "_".join(singular(part) for part in parts if not _is_variable(part))


def _is_variable(part: str) -> bool:
    return part.startswith("{")


def _is_plural(words: str) -> bool:
    return words.endswith("s") and not words.endswith(("ss", "status", "settings"))


def _joined(*words: str) -> str:
    return "_".join(word for word in words if word).replace("-", "_").replace(".", "_")
