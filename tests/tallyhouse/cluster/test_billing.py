"""The same story on a cluster: the gateway bills what workers in other processes have counted."""

from tests.e2e.billing_scenario import bill_and_audit
from tests.server_process import GatewayClient
from tests.tallyhouse.cluster.installation import Installation


def test_events_become_an_invoice_that_an_audit_finds_right(installation: Installation, ledger_url: str) -> None:
    """Over Kafka, Faust and a store behind HTTP, with the ledger on each engine."""
    installation.settings["LEDGER_URL"] = ledger_url
    installation.prepare()
    with installation.gateway() as gateway, installation.worker(), GatewayClient(gateway.url) as api:
        bill_and_audit(api)
