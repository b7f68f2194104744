"""A real ledger to bill from, with usage counted by a plain loop."""

from collections.abc import Iterator

import pytest

from rating.ledger.ledger import open_ledger, skip_migration
from tests.contracts.api_keys import ManualClock
from tests.rating.runs.billed_account import BilledAccount


@pytest.fixture
def billed_account(migrated_url: str) -> Iterator[BilledAccount]:
    clock = ManualClock()
    with open_ledger(migrated_url, clock, prepare=skip_migration) as ledger:
        yield BilledAccount(ledger, clock)
