"""An account with one of each resource, created from the API's own document: new routes need no new lines here."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest

from ingest_gateway.openapi.docs_page import variable
from ingest_gateway.openapi.names import resource, variables
from tests.rating.api.billing_api import BillingApi

SECRET_TEXT = "hush"
"""Part of every text of the victim that a stranger could recognize."""

REFERENCES = {
    "customer_id": "customers",
    "plan_code": "plans",
    "target_plan_code": "plans",
    "subscription_id": "subscriptions",
    "invoice_id": "invoices",
    "meter": "meters",
}
"""Fields of bodies that name another resource."""

INSIDE = {"line-items": "line_items"}
"""Resources that responses hold as part of another one: the field that lists them, the newest last."""

_DRAFT, _FINAL = ("/v1/invoices",), ("/v1/invoices", "/v1/invoices/{id}/finalize")
BEFORE = {
    "/v1/invoices/{id}": _DRAFT,
    "/v1/invoices/{id}/line-items/{line_id}": (*_DRAFT, "/v1/invoices/{id}/line-items"),
    "/v1/invoices/{id}/finalize": _DRAFT,
    "/v1/invoices/{id}/void": _FINAL,
    "/v1/invoices/{id}/mark-uncollectible": _FINAL,
    "/v1/invoices/{id}/pay": _FINAL,
    "/v1/invoices/{id}/credit-notes": _FINAL,
}
"""Operations that need a resource of their own, and the steps that bring it into the right state."""

_MARKED = ("name", "description", "customer_memo", "footer", "first_name", "last_name")


class AccountResources:
    """The resources created, by the last word of their path, and the responses that created them."""

    def __init__(self) -> None:
        self.made: dict[str, dict[str, Any]] = {}
        self.answers: dict[str, Any] = {}

    def value(self, path: str, name: str) -> str | None:
        """The value of the variable `name` of `path`, from the resource of ours that it names."""
        word = resource(path, name)
        created = self.made.get(word, {})
        for field in (name, name.rpartition("_")[2], "id"):
            if isinstance(created.get(field), str | int):
                return str(created[field])
        return None

    def filled(self, path: str) -> str | None:
        """The path of our own resource; None while some part of it does not exist."""
        for name in variables(path):
            value = self.value(path, name)
            if value is None:
                return None
            path = path.replace(f"{{{name}}}", value)
        return path

    def variables(self, paths: Iterable[str]) -> dict[str, str]:
        """The variables of the printed commands."""
        named = [(path, name) for path in paths for name in variables(path)]
        return {variable(path, name): self.value(path, name) or "none" for path, name in named}

    def body(self, example: Any) -> Any:
        """The example with the ids of our resources."""
        if isinstance(example, list):
            return [self.body(item) for item in example]
        if not isinstance(example, dict):
            return example
        return {name: self._meant(name, value) for name, value in example.items()}

    def _meant(self, name: str, value: Any) -> Any:
        created = self.made.get(REFERENCES.get(name, ""), {})
        if isinstance(value, str) and created:
            return created["code"] if name.endswith("code") or name == "meter" else created["id"]
        return self.body(value)

    def secrets(self) -> set[str]:
        """Values that no other account may see."""
        found = {created[field] for created in self.made.values() for field in ("id", "token") if created.get(field)}
        return found | {SECRET_TEXT}


async def create_resources(billing_api: BillingApi, document: dict[str, Any]) -> AccountResources:
    """Creates one of each resource, in whatever order works."""
    resources = AccountResources()
    remaining = _makers(document)
    while remaining:
        refusals = {path: await _make(billing_api, resources, path, example) for path, example in remaining}
        left = [(path, example) for path, example in remaining if refusals[path]]
        if len(left) == len(remaining):
            _check_left({path: refusals[path] for path, _ in left})
            break
        remaining = left
    await _wait_for_runs(billing_api)
    return resources


async def _wait_for_runs(billing_api: BillingApi) -> None:
    """A background run must not look like a stranger's change."""
    async with asyncio.timeout(30):
        while any(  # noqa: ASYNC110 - they are watched from outside
            run["state"] == "running" for run in (await billing_api.get("/v1/invoice-runs"))["invoice_runs"]
        ):
            await asyncio.sleep(0.01)


async def prepare(billing_api: BillingApi, resources: AccountResources, document: dict[str, Any], path: str) -> None:
    """Takes the steps that must precede an operation."""
    for step in BEFORE.get(path, ()):
        operation = document["paths"][step]["post"]
        if "201" in operation["responses"]:
            assert await _make(billing_api, resources, step, example_body(operation)) == ""
        else:
            await billing_api.post(resources.filled(step) or "", status=200)


def _check_left(refusals: dict[str, str]) -> None:
    """A part of a resource may need a state that ours is not in; a resource itself must exist."""
    refused = {path: why for path, why in refusals.items() if "{" not in path}
    if refused:
        pytest.fail(f"these examples make nothing: {refused}; correct samples.py or account_resources.py")


def fail_of_unknown(resources: AccountResources, document: dict[str, Any]) -> None:
    """Fails for a path that cannot be filled, because it would not be tried."""
    for path, methods in document["paths"].items():
        is_guarded = any(operation["security"] for operation in methods.values())
        if is_guarded and resources.filled(path) is None:
            pytest.fail(f"{path}: nothing fills it; state in account_resources.py what creates such a resource")


def _makers(document: dict[str, Any]) -> list[tuple[str, Any]]:
    found = []
    for path, methods in document["paths"].items():
        post = methods.get("post", {})
        if {"201", "202"} & post.get("responses", {}).keys():
            found.append((path, example_body(post)))
    return found


def example_body(operation: dict[str, Any]) -> Any:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return None if content is None else next(iter(content["examples"].values()))["value"]


async def _make(billing_api: BillingApi, resources: AccountResources, path: str, example: Any) -> str:
    """Why the resource was not created; empty on success."""
    filled = resources.filled(path)
    if filled is None:
        return "a part of its path is not made"
    body = resources.body(example)
    marked = {name: value if name not in _MARKED else f"{SECRET_TEXT} {value}" for name, value in (body or {}).items()}
    billing_api.clock.now += 1_000
    reply = await billing_api.client.post(filled, content=json.dumps(marked))
    if reply.status_code not in (201, 202):
        return reply.text
    word = path.rpartition("/")[2]
    resources.answers[path] = reply.json()
    whole = next(value for value in reply.json().values() if isinstance(value, dict))
    resources.made[word] = whole[INSIDE[word]][-1] if word in INSIDE else whole
    return ""
