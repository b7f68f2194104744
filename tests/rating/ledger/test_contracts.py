"""Every adapter of the ledger's ports keeps their contracts."""

from tests.contracts.accounts import AccountsContract
from tests.contracts.api_keys import ApiKeysContract
from tests.contracts.meters import MetersContract
from tests.contracts.reject_replays import RejectReplaysContract


class TestAccounts(AccountsContract):
    """On every ledger."""


class TestApiKeys(ApiKeysContract):
    """On every ledger."""


class TestRejectReplays(RejectReplaysContract):
    """On every ledger."""


class TestMeters(MetersContract):
    """On every ledger."""
