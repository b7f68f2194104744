"""The ledger's ports keep their contracts on every adapter."""

from tests.contracts.accounts import AccountsContract
from tests.contracts.api_keys import ApiKeysContract
from tests.contracts.meters import MetersContract
from tests.contracts.reject_replays import RetriesContract


class TestAccounts(AccountsContract):
    """On each ledger."""


class TestApiKeys(ApiKeysContract):
    """On each ledger."""


class TestRetries(RetriesContract):
    """On each ledger."""


class TestMeters(MetersContract):
    """On each ledger."""
