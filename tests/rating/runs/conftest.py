"""Books to bill from: a real ledger, with usage counted by a plain loop."""

from collections.abc import Iterator

import pytest

from rating.ledger.ledger import as_it_is, open_ledger
from tests.contracts.api_keys import Clock
from tests.rating.runs.billed_account import Books


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def books(migrated_url: str) -> Iterator[Books]:
    clock = Clock()
    with open_ledger(migrated_url, clock, prepare=as_it_is) as ledger:
        yield Books(ledger, clock)
