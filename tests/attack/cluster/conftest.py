"""Fixtures of whole clusters, on the broker and the store that all tests share."""

from tests.tallyhouse.cluster.conftest import broker_address, installation, sqlite_ledger

__all__ = ["broker_address", "installation", "sqlite_ledger"]
