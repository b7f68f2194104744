"""Every response has the rate limit headers; generated from the API's document."""

import pytest

from tests.ingest_gateway.openapi.account_resources import create_resources
from tests.ingest_gateway.openapi.conftest import Document
from tests.ingest_gateway.openapi.test_document import operations_of
from tests.rating.api.billing_api import BillingApi

pytestmark = pytest.mark.anyio

HEADERS = {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}


async def test_every_response_states_the_limit(billing_api: BillingApi, document: Document) -> None:
    """With a key and without, for existing and unknown resources, for unknown methods, and on pages."""
    resources = await create_resources(billing_api, document)
    statuses = set()
    for method, path, _ in operations_of(document):
        for filled in (resources.filled(path) or path, path.replace("{", "no-").replace("}", "")):
            for headers in ({}, {"authorization": ""}, {"authorization": "Bearer ak_live_nobody"}):
                for tried in (method, "TRACE"):
                    reply = await billing_api.client.request(tried, filled, headers=headers)
                    assert reply.headers.keys() >= HEADERS, (tried, filled, reply.status_code)
                    statuses.add(reply.status_code)
    assert statuses >= {200, 400, 401, 404, 405, 409}
