"""The API answers any request as its own document describes; generated from the document."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from schemathesis.checks import CHECKS
from schemathesis.core.result import Ok

from ingest_gateway.openapi.names import variables
from rating.ledger.ledger import open_ledger
from rating.ledger.migrate import migrate
from tests.contracts.api_keys import ManualClock
from tests.ingest_gateway.openapi.account_resources import AccountResources, create_resources
from tests.rating.api.billing_api import BillingApi

REQUESTS = 12 * hypothesis.settings().max_examples
"""Of each mode and engine, shared by all operations, however many operations there are."""

MODES = [
    schemathesis.GenerationMode.POSITIVE,
    pytest.param(schemathesis.GenerationMode.NEGATIVE, marks=pytest.mark.long),
]

NOT_PROMISED = ["positive_data_acceptance", "negative_data_rejection"]
"""A schema cannot state every rule between fields, so a document that it allows may be refused, with a reason.

A request that it forbids may be accepted: an empty query parameter counts as absent, as forms send it.
"""


@schemathesis.serializer("application/x-ndjson", "application/cloudevents-batch+json")
def as_text(_context: Any, value: Any) -> bytes:
    """A text unchanged, any other value as JSON."""
    return value.encode("utf-8", "replace") if isinstance(value, str) else json.dumps(value).encode()


class ServedApi(NamedTuple):
    """The app, a key with all scopes, and the existing resources."""

    app: Any
    token: str
    resources: AccountResources


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServedApi]:
    """On each engine, because they do not refuse the same texts."""
    is_file = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'ledger.db'}" if is_file else request.getfixturevalue("postgresql").new_database()
    clock = ManualClock()
    with open_ledger(url, clock, prepare=migrate) as ledger:
        made = asyncio.run(ledger.accounts.bootstrap(None))
        assert made is not None
        billing_api = BillingApi(ledger, clock, *made)
        yield ServedApi(billing_api.app, made[1], asyncio.run(_create_resources(billing_api)))
        asyncio.run(billing_api.client.aclose())


async def _create_resources(billing_api: BillingApi) -> AccountResources:
    return await create_resources(billing_api, (await billing_api.client.get("/openapi.json")).json())


@pytest.mark.parametrize("mode", MODES)
def test_every_response_is_documented(served: ServedApi, mode: schemathesis.GenerationMode) -> None:
    """No 5xx; every status, content type, header and body is as documented, for valid and invalid requests."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", served.app)
    headers = {"Authorization": f"Bearer {served.token}"}
    left_out = CHECKS.get_by_names(NOT_PROMISED)
    found = list(schema.get_all_operations())
    operations = [each.ok() for each in found if isinstance(each, Ok)]
    assert len(operations) == len(found) > 20
    # A deleted resource is missing in all later requests.
    for operation in sorted(operations, key=lambda each: each.method == "delete"):
        raw = operation.definition.raw
        if mode.is_negative and not (raw["security"] or "requestBody" in raw):
            continue  # nothing in such a request can be invalid

        @hypothesis.settings(
            max_examples=max(2, REQUESTS // len(operations)),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.seed(1)
        @hypothesis.given(operation.as_strategy(generation_mode=mode), st.booleans())
        def conforms(case: Any, of_ours: bool) -> None:  # drawn
            if of_ours:
                _name_ours(case, served.resources)
            case.call_and_validate(headers=headers, excluded_checks=left_out)

        conforms()


def _name_ours(case: Any, resources: AccountResources) -> None:
    """Aims the request at existing resources; otherwise nearly every one would be a 404, or repeat a used key."""
    case.headers.pop("Idempotency-Key", None)
    for name in variables(case.path):
        case.path_parameters[name] = resources.value(case.path, name)
    if isinstance(case.body, dict | list):
        case.body = resources.body(case.body)
