"""Billing on a cluster: the gateway bills usage that workers in other processes have counted."""

import pytest

from tests.backing_services.postgresql import PostgreSqlServer
from tests.e2e.billing_scenario import bill_and_audit
from tests.server_process import GatewayClient
from tests.tallyhouse.cluster.installation import Installation


@pytest.mark.long
def test_events_become_an_invoice_that_passes_its_audit(
    installation: Installation, postgresql: PostgreSqlServer
) -> None:
    """Over Kafka, Faust and a store behind HTTP, with the ledger on PostgreSQL."""
    installation.settings["LEDGER_URL"] = postgresql.new_database()
    installation.prepare()
    with installation.gateway() as gateway, installation.worker(), GatewayClient(gateway.url) as api:
        bill_and_audit(api)
