"""Whatever is sent, the API answers as it describes itself: generated from its own document."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis.checks import CHECKS
from schemathesis.core.result import Ok

from rating.ledger.opening import open_ledger
from tests.contracts.api_keys import Clock
from tests.ingest_gateway.billing.conftest import Office

REQUESTS = 300
"""Of each mode, shared by all operations: a few seconds each, however many operations there come to be."""

NOT_PROMISED = ["positive_data_acceptance", "negative_data_rejection"]
"""A schema cannot say every rule between fields: what it allows may still be refused, with a reason.

And what it forbids may be taken: an empty query parameter counts as absent, as forms send it.
"""


@schemathesis.serializer("application/x-ndjson", "application/cloudevents-batch+json")
def as_text(_context: Any, value: Any) -> bytes:
    """A text as it is, anything else as JSON."""
    return value.encode("utf-8", "replace") if isinstance(value, str) else json.dumps(value).encode()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Any, str]]:
    """The app and a key that may do everything."""
    clock = Clock()
    with open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", clock) as ledger:
        made = asyncio.run(ledger.accounts.bootstrap(None))
        assert made is not None
        office = Office(ledger, clock, *made)
        yield office.app, made[1]
        asyncio.run(office.client.aclose())


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_every_answer_is_a_documented_one(served: tuple[Any, str], mode: schemathesis.GenerationMode) -> None:
    """No 5xx; every status, content type, header and body is as the document says, for good and for bad requests."""
    app, token = served
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    left_out = CHECKS.get_by_names(NOT_PROMISED)
    found = list(schema.get_all_operations())
    operations = [each.ok() for each in found if isinstance(each, Ok)]
    assert len(operations) == len(found) > 20
    for operation in operations:
        if mode.is_negative and not operation.definition.raw["security"]:
            continue  # there is nothing in such a request that could be wrong

        @hypothesis.settings(
            max_examples=max(4, REQUESTS // len(operations)),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.seed(1)
        @hypothesis.given(operation.as_strategy(generation_mode=mode))
        def conforms(case: Any) -> None:
            case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, excluded_checks=left_out)

        conforms()
